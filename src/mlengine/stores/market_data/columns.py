"""The candle contract as the columns of a file, read into RAW_SCHEMA."""

from collections.abc import Mapping, Sequence

import polars as pl

from mlengine.core.bars.bars import PRICES, RAW_SCHEMA, TIMESTAMP, VALUES
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.candles import (
    CLOSE_KEYS,
    START_KEYS,
    VALUE_KEYS,
    first_of,
    parse_flag,
    parse_timestamp,
    require_timestamps,
)

SYMBOL_COLUMNS = frozenset({"symbol", "ticker"})
PRICE_COLUMNS = frozenset(key for name in PRICES for key in VALUE_KEYS[name])
_START_COLUMNS = (*START_KEYS, "date")


def parse_table(table: pl.DataFrame, *, symbol: str, file_name: str) -> pl.DataFrame:
    """Candles from `table`, whose column names may be written in any case.

    Without a column of symbols every row is `symbol`. Numbers that can't be read become null, and
    so does the timestamp of a row whose start, or the close that it states, can't be read. A
    missing column, and a file in which that is every row, raise UpstreamInvalid. Other columns,
    an adjusted close among them, are not looked at.
    """
    columns = {column.name.casefold(): column for column in table.get_columns()}
    start = _needed(columns, _START_COLUMNS, file_name)
    values = {name: _numbers(_needed(columns, VALUE_KEYS[name], file_name)) for name in VALUES}
    symbols = first_of(columns, sorted(SYMBOL_COLUMNS))
    if symbols is None:
        symbols = pl.repeat(symbol, table.height, dtype=pl.String, eager=True)
    closes = first_of(columns, CLOSE_KEYS)
    final = columns.get("final")
    stated = {} if closes is None else {"closes_at": to_utc(closes)}
    if final is not None:
        flags = [parse_flag(value) for value in final.to_list()]
        stated["final"] = pl.Series(flags, dtype=pl.Boolean)
    candles = pl.DataFrame(
        {
            "symbol": symbols,
            "timestamp": _starts_at(start, closes),
            **values,
            **stated,
        },
        schema_overrides=RAW_SCHEMA,
    ).match_to_schema(RAW_SCHEMA, missing_columns="insert")
    return require_timestamps(candles.drop_nulls("symbol"))


def to_utc(column: pl.Series) -> pl.Series:
    """A column of moments, of whatever type a file gave it, as UTC; null what is no moment."""
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        return column.dt.convert_time_zone("UTC").cast(TIMESTAMP)
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.Series([parse_timestamp(value) for value in column.to_list()], dtype=TIMESTAMP)


def _starts_at(starts: pl.Series, closes: pl.Series | None) -> pl.Series:
    """Null without a readable start, or when nobody can say whether the bar has closed."""
    timestamps = to_utc(starts)
    if closes is None:
        return timestamps
    blank = closes.is_null() | (closes.cast(pl.String) == "")
    readable = blank | to_utc(closes).is_not_null()
    return timestamps.zip_with(readable, pl.Series([None], dtype=TIMESTAMP))


def _numbers(column: pl.Series) -> pl.Series:
    texts = column.str.strip_chars() if column.dtype == pl.String else column
    return texts.cast(pl.Float64, strict=False)


def _needed(columns: Mapping[str, pl.Series], names: Sequence[str], file_name: str) -> pl.Series:
    column = first_of(columns, names)
    if column is None:
        raise UpstreamInvalid(f"the file {file_name!r} has no column {' or '.join(names)}")
    return column
