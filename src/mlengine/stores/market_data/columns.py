"""The candle contract as the columns of a file, read into RAW_SCHEMA."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from mlengine.core.bars.bars import RAW_SCHEMA, TIMESTAMP, VALUES
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.candles import (
    CLOSES,
    NUMBERS,
    STARTS,
    read_flag,
    read_moment,
    refuse_unreadable,
)

TICKERS = frozenset({"symbol", "ticker"})
_FILE_STARTS = (*STARTS, "date")


def read_columns(table: pl.DataFrame, *, symbol: str, file_name: str) -> pl.DataFrame:
    """Candles from `table`, whose column names may be written in any case.

    Without a column of symbols every row is `symbol`. Numbers that can't be read become null, and
    so does the timestamp of a row whose start, or the close that it states, can't be read. A
    missing column, and a file in which that is every row, raise UpstreamInvalid. Other columns,
    an adjusted close among them, are not looked at.
    """
    columns = {column.name.casefold(): column for column in table.get_columns()}
    start = _needed(columns, _FILE_STARTS, file_name)
    values = {name: _numbers(_needed(columns, NUMBERS[name], file_name)) for name in VALUES}
    tickers = _first(columns, sorted(TICKERS))
    closes = _first(columns, CLOSES)
    final = columns.get("final")
    said = {"final": _flags(final)} if final is not None else {}
    if closes is not None:
        said["closes_at"] = utc_column(closes)
    candles = pl.DataFrame(
        {
            "symbol": _repeated(symbol, table.height) if tickers is None else tickers,
            "timestamp": _starts_at(start, closes),
            **values,
            **said,
        },
        schema_overrides=RAW_SCHEMA,
    ).match_to_schema(RAW_SCHEMA, missing_columns="insert")
    return refuse_unreadable(candles.drop_nulls("symbol"))


def utc_column(column: pl.Series) -> pl.Series:
    """A column of moments, of whatever type a file gave it, as UTC; null what is no moment."""
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        return column.dt.convert_time_zone("UTC").cast(TIMESTAMP)
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.Series([read_moment(value) for value in column.to_list()], dtype=TIMESTAMP)


def _starts_at(starts: pl.Series, closes: pl.Series | None) -> pl.Series:
    """Null without a readable start, or when nobody can say whether the bar has closed."""
    read = utc_column(starts)
    if closes is None:
        return read
    unsaid = closes.is_null() | (closes.cast(pl.String) == "")
    return read.zip_with(
        utc_column(closes).is_not_null() | unsaid, pl.Series([None], dtype=TIMESTAMP)
    )


def _numbers(column: pl.Series) -> pl.Series:
    texts = column.str.strip_chars() if column.dtype == pl.String else column
    return texts.cast(pl.Float64, strict=False)


def _flags(column: pl.Series) -> pl.Series:
    return pl.Series([read_flag(value) for value in column.to_list()], dtype=pl.Boolean)


def _repeated(value: str, rows: int) -> pl.Series:
    return pl.Series([value], dtype=pl.String).new_from_index(0, rows)


def _needed(columns: Mapping[str, pl.Series], names: Iterable[str], file_name: str) -> pl.Series:
    found = _first(columns, names)
    if found is None:
        wanted = " or ".join(names)
        raise UpstreamInvalid(f"the file {file_name!r} has no column {wanted}")
    return found


def _first(columns: Mapping[str, pl.Series], names: Iterable[str]) -> pl.Series | None:
    return next((columns[name] for name in names if name in columns), None)
