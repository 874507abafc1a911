"""The verdict on what an upstream served: which candles are bars, and what is wrong with others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from functools import cache

import polars as pl

from mlengine.core.bars.bars import (
    BARS_SCHEMA,
    MOMENT,
    NO_CANDLES,
    NO_COLUMNS,
    PRICES,
    VALUES,
    BarsReport,
    CleanBars,
    JudgedBars,
    columns_by_symbol,
    is_ordered,
)
from mlengine.core.bars.intervals import INTERVALS

# Half a unit in the sixth digit of a price of one half: what printing and adjusting prices costs.
_ROUNDING = 1e-6

# By symbol: how many candles of each verdict.
_Counts = dict[str, dict[str, int]]


def clean_bars(raw: pl.DataFrame, *, interval: str, now: datetime) -> CleanBars:
    """Judge the candles of one symbol (RAW_SCHEMA, any order); keep the sane, final ones.

    Dropped, by the first reason that applies: `no_timestamp` (null: it could not be read),
    `future` (starts after `now`), `unfinished` (its own `final` decides, else `closes_at <= now`,
    else `timestamp + interval <= now`), `not_finite` (null, NaN or infinite), `not_positive` (a
    price), `negative_volume`, `ohlc_order` (high below or low above another price),
    `conflicting` (sane final bars of one timestamp differ, and nothing says which is right: all
    of them go). Mended: `ohlc_rounding` (out of order by a millionth at most: high and low are
    widened), `duplicate` (equal bars merged), `reordered` (stood after a later bar). Volume 0 is
    fine. The counts of `accepted`, `dropped` and `duplicate` add up to the candles given.
    """
    if raw.is_empty():
        return CleanBars(raw.select(list(BARS_SCHEMA)), NO_CANDLES)
    (judged,) = clean_panel(raw, interval=interval, now=now).values()
    return judged.framed


def clean_panel(raw: pl.DataFrame, *, interval: str, now: datetime) -> dict[str, JudgedBars]:
    """`clean_bars` of every symbol that has candles in `raw`, in one pass over all of them."""
    judged = raw.with_columns(pl.lit(now, MOMENT).alias("now")).with_columns(_reason(interval))
    kept = judged.filter(pl.col("reason").is_null()).select(list(BARS_SCHEMA))
    widened = kept.with_columns(
        pl.max_horizontal(PRICES).alias("high"), pl.min_horizontal(PRICES).alias("low")
    )
    dropped = _counted(judged.drop_nulls("reason"))
    mended: _Counts = {}
    _add(mended, "ohlc_rounding", _rows(kept.filter(_differs(kept, widened))))
    ordered = widened if is_ordered(widened) else _put_in_order(widened, mended, dropped)
    found = dict.fromkeys(raw["symbol"].unique(maintain_order=True).to_list(), NO_COLUMNS)
    found |= columns_by_symbol(ordered)
    return {
        symbol: JudgedBars(
            columns, BarsReport(columns.rows, mended.get(symbol, {}), dropped.get(symbol, {}))
        )
        for symbol, columns in found.items()
    }


def _put_in_order(sane: pl.DataFrame, mended: _Counts, dropped: _Counts) -> pl.DataFrame:
    """One bar a symbol and timestamp, sorted; and count what that takes."""
    merged = sane.unique(maintain_order=True)
    agreed = merged.filter(pl.struct("symbol", "timestamp").is_unique())
    _add(dropped, "conflicting", _gone(merged, agreed))
    _add(mended, "duplicate", _gone(sane, merged))
    _add(mended, "reordered", _rows(agreed.filter(_is_late())))
    return agreed.sort("symbol", "timestamp")


@cache
def _reason(interval: str) -> pl.Expr:
    """The column `reason` of candles and `now`; to write it down takes longer than a few rows."""
    start, now = pl.col("timestamp"), pl.col("now")
    final = pl.coalesce(
        pl.col("final"), pl.col("closes_at") <= now, start + INTERVALS[interval] <= now
    )
    finite = pl.all_horizontal(pl.col(VALUES).is_finite().fill_null(value=False))
    slack = 1.0 + _ROUNDING
    disordered = (pl.col("high") * slack < pl.max_horizontal(PRICES)) | (
        pl.col("low") > pl.min_horizontal(PRICES) * slack
    )
    return (
        pl.when(start.is_null())
        .then(pl.lit("no_timestamp"))
        .when(start > now)
        .then(pl.lit("future"))
        .when(~final)
        .then(pl.lit("unfinished"))
        .when(~finite)
        .then(pl.lit("not_finite"))
        .when(pl.min_horizontal(PRICES) <= 0)
        .then(pl.lit("not_positive"))
        .when(pl.col("volume") < 0)
        .then(pl.lit("negative_volume"))
        .when(disordered)
        .then(pl.lit("ohlc_order"))
        .alias("reason")
    )


def _differs(before: pl.DataFrame, after: pl.DataFrame) -> pl.Series:
    return (before["high"] != after["high"]) | (before["low"] != after["low"])


def _is_late() -> pl.Expr:
    """Whether a row stands after a later one of its symbol."""
    at = pl.col("timestamp")
    return at < at.cum_max().over("symbol")


def _counted(dropped: pl.DataFrame) -> _Counts:
    """How many rows there are of each reason, by symbol."""
    counts: _Counts = {}
    for (symbol, reason), count in Counter(dropped.select("symbol", "reason").rows()).items():
        _add(counts, reason, {symbol: count})
    return counts


def _rows(frame: pl.DataFrame) -> Counter[str]:
    """How many rows each symbol has."""
    return Counter(frame["symbol"].to_list())


def _gone(before: pl.DataFrame, after: pl.DataFrame) -> Counter[str]:
    """How many of its rows each symbol lost."""
    return _rows(before) - _rows(after) if after.height < before.height else Counter()


def _add(counts: _Counts, reason: str, rows: Mapping[str, int]) -> None:
    for symbol, count in rows.items():
        counts.setdefault(symbol, {})[reason] = count
