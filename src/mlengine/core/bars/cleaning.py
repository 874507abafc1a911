"""Which of the candles that an upstream serves are bars, and what is wrong with the others."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import numpy as np
import polars as pl

from mlengine.core.bars.bars import (
    BARS_SCHEMA,
    NO_BARS,
    PRICES,
    TIMESTAMP,
    VALUES,
    CleanBars,
    arrays_by_symbol,
    is_ordered,
)
from mlengine.core.bars.examples import EXAMPLE_COLUMNS, ReasonCounts, bars_report
from mlengine.core.bars.sessions import with_session_times
from mlengine.core.calendars.market import NO_MARKETS, MarketDirectory
from mlengine.core.timestamps import microseconds

# Half a unit in the sixth digit of a price of one half: what printing and adjusting prices costs.
_ROUNDING = 1e-6


def from_each_start(candles: pl.DataFrame, starts: Mapping[str, datetime]) -> pl.DataFrame:
    """Of candles from the first start on, those of each symbol from its own one on.

    And those whose timestamp could not be read.
    """
    if len(set(starts.values())) == 1:
        return candles
    rows, symbols = candles["symbol"].rle().struct.unnest()
    firsts = [microseconds(starts[symbol]) for symbol in symbols.to_list()]
    at = candles["timestamp"].to_physical()
    wanted = at >= pl.Series(np.repeat(np.array(firsts, np.int64), rows.to_numpy()))
    return candles.filter(wanted.fill_null(value=True))


def clean_bars(
    raw: pl.DataFrame, *, interval: str, now: datetime, markets: MarketDirectory = NO_MARKETS
) -> CleanBars:
    """Judge the candles of one symbol (RAW_SCHEMA, any order); keep the sane, final ones.

    Dropped, by the first reason that applies: `no_timestamp` (null: it could not be read), `future`
    (starts after `now`), `unfinished` (its own `final` decides, else whether it has closed by
    `now`: see `with_session_times`), `closes_before_start`, `off_grid` (begins at a time of day, or
    a second, at which nearly no candle of its series does: the row of a running day), `not_finite`
    (null, NaN or infinite), `not_positive` (a price; `not_listed` where all are zero before the
    first bar, as some services fill the time before a listing), `negative_volume`, `ohlc_order`
    (high below or low above another price), `conflicting` (sane final bars of one timestamp differ,
    and nothing says which is right: all of them go). Mended: `ohlc_rounding` (out of order by a
    millionth at most: high and low are widened), `duplicate` (equal bars merged), `reordered`
    (stood after a later bar). Volume 0 is fine, and what a symbol has that states none at all.
    Prices of any sign are taken where `markets` says so. `accepted`, `dropped` and `duplicate` add
    up to the candles given.

    Daily and weekly bars begin at the midnight UTC of their session date. A bar is known from its
    close on; one that its upstream called final before, from `now` on.
    """
    if raw.is_empty():
        return NO_BARS
    (clean,) = clean_panel(raw, interval=interval, now=now, markets=markets).values()
    return clean


def clean_panel(
    raw: pl.DataFrame, *, interval: str, now: datetime, markets: MarketDirectory = NO_MARKETS
) -> dict[str, CleanBars]:
    """`clean_bars` of every symbol that has candles in `raw`, in one pass over all of them."""
    placed = with_session_times(_with_volume(raw), interval=interval, markets=markets)
    judged = placed.with_columns(
        pl.lit(now, TIMESTAMP).alias("now"), pl.lit(markets.negative_prices).alias("any_sign")
    ).with_columns(_REASON, _KNOWN_AT)
    mended, dropped = ReasonCounts(), ReasonCounts()
    reasons = judged["reason"].drop_nulls()
    if (reasons == "not_positive").any():
        judged = judged.with_columns(_not_listed())
    _count_dropped(judged.drop_nulls("reason"), dropped)
    sane = judged.filter(pl.col("reason").is_null()).select(
        *BARS_SCHEMA, "known_at", *EXAMPLE_COLUMNS
    )
    widened = sane.with_columns(
        pl.max_horizontal(PRICES).alias("high"), pl.min_horizontal(PRICES).alias("low")
    )
    changed = (sane["high"] != widened["high"]) | (sane["low"] != widened["low"])
    mended.add("ohlc_rounding", sane.filter(changed))
    ordered = widened if is_ordered(widened) else _put_in_order(widened, mended, dropped)
    symbols = raw["symbol"].unique(maintain_order=True).to_list()
    arrays = dict.fromkeys(symbols, NO_BARS.arrays) | arrays_by_symbol(ordered)
    return {
        symbol: CleanBars(bars, bars_report(symbol, bars.rows, mended=mended, dropped=dropped))
        for symbol, bars in arrays.items()
    }


def _with_volume(raw: pl.DataFrame) -> pl.DataFrame:
    """Volume 0 for a symbol without any: its market has none, as that of a currency pair."""
    volume = pl.col("volume")
    if raw["volume"].null_count() == 0:
        return raw
    return raw.with_columns(volume.fill_null(pl.when(volume.count().over("symbol") == 0).then(0.0)))


def _count_dropped(faulty: pl.DataFrame, dropped: ReasonCounts) -> None:
    unfinished = Counter(faulty.filter(pl.col("reason") == "unfinished")["symbol"].to_list())
    for symbol, count in unfinished.items():
        dropped.counts[symbol]["unfinished"] = count
    for rows in faulty.filter(pl.col("reason") != "unfinished").partition_by("reason"):
        dropped.add(rows["reason"][0], rows)


def _put_in_order(sane: pl.DataFrame, mended: ReasonCounts, dropped: ReasonCounts) -> pl.DataFrame:
    """One bar a symbol and timestamp, sorted; and count what that takes."""
    at = pl.col("timestamp")
    merged = sane.group_by(list(BARS_SCHEMA), maintain_order=True).agg(
        pl.col("known_at").min(), pl.col(EXAMPLE_COLUMNS).first(), (pl.len() - 1).alias("times")
    )
    mended.add("duplicate", merged.filter(pl.col("times") > 0))
    alone = pl.struct("symbol", "timestamp").is_unique()
    unique = merged.drop("times").with_columns(alone.alias("alone"))
    dropped.add("conflicting", unique.filter(~pl.col("alone")))
    agreed = unique.filter("alone")
    mended.add("reordered", agreed.filter(at < at.cum_max().over("symbol")))
    return agreed.sort("symbol", "timestamp")


def _not_listed() -> pl.Expr:
    """The reasons of judged candles, also of those before there was a market."""
    reason, began = pl.col("reason"), pl.col("began")
    first = began.filter(reason.is_null()).min().over("symbol")
    is_zero = (reason == "not_positive") & (pl.max_horizontal(PRICES) == 0)
    return (
        pl.when(is_zero & (began < first))
        .then(pl.lit("not_listed"))
        .otherwise(reason)
        .alias("reason")
    )


def _reason() -> pl.Expr:
    """The first reason for which a candle is no bar, of candles in sessions and with `now`."""
    start, now = pl.col("began"), pl.col("now")
    final = pl.coalesce(pl.col("final"), pl.col("closes_at") <= now)
    finite = pl.all_horizontal(pl.col(VALUES).is_finite().fill_null(value=False))
    high, low = pl.col("high"), pl.col("low")
    disordered = (high + high.abs() * _ROUNDING < pl.max_horizontal(PRICES)) | (
        low - low.abs() * _ROUNDING > pl.min_horizontal(PRICES)
    )
    applies = {
        "no_timestamp": start.is_null(),
        "future": start > now,
        "unfinished": ~final,
        "closes_before_start": pl.col("is_stated") & (pl.col("closes_at") < start),
        "off_grid": pl.col("off_grid"),
        "not_finite": ~finite,
        "not_positive": (pl.min_horizontal(PRICES) <= 0) & ~pl.col("any_sign"),
        "negative_volume": pl.col("volume") < 0,
        "ohlc_order": disordered,
    }
    first = pl.coalesce(pl.when(test).then(pl.lit(reason)) for reason, test in applies.items())
    return first.alias("reason")


# Once: to write expressions down takes longer than to judge a few candles.
_REASON = _reason()
_KNOWN_AT = pl.min_horizontal("closes_at", "now").alias("known_at")
