"""Parquet and Arrow files as tables, with the types that they have."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mlengine.stores.market_data.tables.columns.names import has_all_prices
from mlengine.stores.market_data.tables.table import Table
from mlengine.stores.system.table_files import (
    parquet_columns,
    read_parquet,
    translated_read_errors,
)

_SUFFIXES = (".parquet", ".arrow", ".feather", ".ipc")
# How pandas writes the name of a column that has two, such as price and ticker.
_PAIR = re.compile(r"\('([^']*)', '([^']*)'\)")
# The names of the columns, and whose each is.
_Header = tuple[tuple[str, ...], tuple[str, ...] | None]


def is_binary(path: Path) -> bool:
    return path.name.lower().endswith(_SUFFIXES)


def binary_names(path: Path) -> _Header:
    """The names of the columns, and their tickers; raises UnreadableFile."""
    if path.suffix.lower() == ".parquet":
        names = parquet_columns(path)
    else:
        with translated_read_errors(path.name):
            names = _read_arrow(path.read_bytes()).columns
    return _header(sorted(names, key=_is_pair))


def read_binary(path: Path) -> Table:
    """The whole file; it is not mapped, since a mapped one that shrinks kills the process.

    The first row is line 1. Where columns are named for a price and a ticker, the others stand
    before them. Raises UnreadableFile.
    """
    if path.suffix.lower() == ".parquet":
        frame = read_parquet(path)
    else:
        with translated_read_errors(path.name):
            frame = _read_arrow(path.read_bytes())
    columns = sorted(map(_as_text, frame.get_columns()), key=lambda column: _is_pair(column.name))
    names, tickers = _header([column.name for column in columns])
    return Table(path.name, names, tuple(columns), first_line=1, tickers=tickers)


def _as_text(column: pl.Series) -> pl.Series:
    """Bytes as the text that they are to writers who know no type for texts."""
    return column.cast(pl.String, strict=False) if column.dtype == pl.Binary else column


def _is_pair(name: str) -> bool:
    return _PAIR.fullmatch(name) is not None


def _header(names: Sequence[str]) -> _Header:
    """The index of a data frame with two names a column is of no ticker."""
    pairs = [match.groups() if (match := _PAIR.fullmatch(name)) else (name, "") for name in names]
    if not any(map(_is_pair, names)):
        return tuple(names), None
    firsts, seconds = zip(*pairs, strict=True)
    if has_all_prices(firsts):
        return firsts, seconds
    swapped = [(name, "") if not second else (second, name) for name, second in pairs]
    fields, tickers = zip(*swapped, strict=True)
    return fields, tickers


def _read_arrow(content: bytes) -> pl.DataFrame:
    """Of the file or the stream format."""
    read = pl.read_ipc if content.startswith(b"ARROW1") else pl.read_ipc_stream
    return read(io.BytesIO(content))
