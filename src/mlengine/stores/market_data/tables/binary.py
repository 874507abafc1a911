"""Parquet and Arrow files as tables, with the types that they have."""

import io
from pathlib import Path

import polars as pl

from mlengine.stores.market_data.tables.table import Table
from mlengine.stores.system.table_files import read_parquet, translated_read_errors

BINARY_SUFFIXES = (".parquet", ".arrow", ".feather", ".ipc")


def binary_names(path: Path) -> tuple[str, ...]:
    """The names of the columns; raises UnreadableFile."""
    with translated_read_errors(path.name):
        if path.suffix.lower() == ".parquet":
            return tuple(pl.read_parquet_schema(path))
        return tuple(_read_arrow(path.read_bytes()).columns)


def read_binary(path: Path) -> Table:
    """The whole file; it is not mapped, since a mapped one that shrinks kills the process.

    The first row is line 1. Raises UnreadableFile.
    """
    if path.suffix.lower() == ".parquet":
        frame = read_parquet(path)
    else:
        with translated_read_errors(path.name):
            frame = _read_arrow(path.read_bytes())
    return Table(path.name, tuple(frame.columns), tuple(frame.get_columns()), first_line=1)


def _read_arrow(content: bytes) -> pl.DataFrame:
    """Of the file or the stream format."""
    read = pl.read_ipc if content.startswith(b"ARROW1") else pl.read_ipc_stream
    return read(io.BytesIO(content))
