"""The session that each candle belongs to, when it closes, and which candles are off the grid."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import polars as pl

from mlengine.core.bars.bars import TIMESTAMP
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.calendars.calendar import Calendar
from mlengine.core.calendars.market import NO_MARKETS, MarketDirectory
from mlengine.core.timestamps import EPOCH, rfc3339
from mlengine.errors import UpstreamInvalid

_DAY = timedelta(days=1)
# A date that begins so late by UTC is that of the next day in the east (New Zealand's, in summer).
_EVENING = 11
# In a market's own zone, where no exchange closes so late; futures open then for the next day.
_EVENING_AT_HOME = 16
_SUNDAY, _BEFORE_SUNDAY = 7, (5, 6)
# One may be an odd session.
_FEWEST_SUNDAYS = 2
# A grid is what nearly all candles of a series have in common.
_ON_GRID_SHARE = 0.9
# Summer time moves a time of day by so much.
_SUMMER_TIME = timedelta(hours=1)
# Openings and closes, half days among them, lie so apart; a moment at which somebody asked doesn't.
_USUAL_STEP = timedelta(minutes=15)


def with_session_times(
    candles: pl.DataFrame, *, interval: str, markets: MarketDirectory
) -> pl.DataFrame:
    """`candles` (RAW_SCHEMA) with their session's `timestamp`, `closes_at`, and further columns.

    Daily and weekly candles get the midnight UTC of their session date for a timestamp: the date
    that they state, else that of their start in the symbol's timezone. `began` is the start as
    served. `closes_at` is never null: what the candle states, else the end of its session where an
    exchange's calendar is set, else the start as served and the interval. `off_grid` marks
    candles that begin at a time at which nearly none of their series do.
    """
    symbols = candles["symbol"].unique().to_list() if markets != NO_MARKETS else []
    placed = candles.with_columns(_times(interval, _by_zone(symbols, markets)))
    for calendar, of_exchange in _by_exchange(symbols, markets).items():
        starts = placed["timestamp"].fill_null(EPOCH).to_physical().to_numpy()
        ends = pl.Series(calendar.final_at(starts, INTERVALS[interval])).cast(TIMESTAMP)
        unstated = pl.col("symbol").is_in(of_exchange) & ~pl.col("is_stated")
        placed = placed.with_columns(
            pl.when(unstated)
            .then(pl.max_horizontal(ends, "began"))
            .otherwise("closes_at")
            .alias("closes_at")
        )
    return placed.with_columns(_off_grid(placed, interval))


def undated_days(
    candles: pl.DataFrame, interval: str, markets: MarketDirectory
) -> dict[str, UpstreamInvalid]:
    """By symbol, those of whose days (RAW_SCHEMA) nobody can tell the date.

    They begin in the evening of Sundays, and never in that of Fridays or Saturdays: by UTC these
    are the midnights of a zone in the east, which neither the candles nor `markets` name, and in
    the zone that `markets` names, sessions of the day after.
    """
    if INTERVALS[interval] != _DAY:
        return {}
    start, symbol = pl.col("timestamp"), pl.col("symbol")
    unstated = candles.filter(pl.col("session").is_null() & (start.dt.time() != pl.time(0)))
    if unstated.is_empty():
        return {}
    hour, weekday, evening = start.dt.hour(), start.dt.weekday(), pl.lit(_EVENING, pl.Int8)
    for zone, symbols in _by_zone(unstated["symbol"].unique().to_list(), markets).items():
        local, at_home = start.dt.convert_time_zone(zone.key), symbol.is_in(symbols)
        hour = pl.when(at_home).then(local.dt.hour()).otherwise(hour)
        weekday = pl.when(at_home).then(local.dt.weekday()).otherwise(weekday)
        evening = pl.when(at_home).then(pl.lit(_EVENING_AT_HOME, pl.Int8)).otherwise(evening)
    evenings = unstated.filter(hour >= evening).group_by("symbol", maintain_order=True)
    days = evenings.agg(
        (weekday == _SUNDAY).sum().alias("sundays"),
        weekday.is_in(_BEFORE_SUNDAY).sum().alias("others"),
        start.filter(weekday == _SUNDAY).first(),
        pl.col("file").first(),
    )
    shifted = days.filter((pl.col("sundays") >= _FEWEST_SUNDAYS) & (pl.col("others") == 0))
    return {
        row["symbol"]: _undated(**row, zone=markets.market(row["symbol"]).timezone)
        for row in shifted.drop("sundays", "others").to_dicts()
    }


def _undated(
    symbol: str, timestamp: datetime, file: str | None, zone: ZoneInfo | None
) -> UpstreamInvalid:
    where = f" (file {file!r})" if file else ""
    if zone is None:
        question = (
            "midnights of which zone are these? MARKET_DATA_TIMEZONE or a timezone in symbols.csv "
            "says it"
        )
    else:
        question = (
            f"in {zone.key} these are evenings, of sessions that have the date of the day after: "
            "name a timezone further east in symbols.csv, in which they begin on that day"
        )
    return UpstreamInvalid(
        f"{symbol}{where} has days that begin on Sundays, such as {rfc3339(timestamp)}, and none "
        f"on Fridays: {question}"
    )


def _by_zone(symbols: Sequence[str], markets: MarketDirectory) -> Mapping[ZoneInfo, list[str]]:
    zones = defaultdict[ZoneInfo, list[str]](list)
    for symbol in symbols:
        if zone := markets.market(symbol).timezone:
            zones[zone].append(symbol)
    return zones


def _by_exchange(symbols: Sequence[str], markets: MarketDirectory) -> Mapping[Calendar, list[str]]:
    exchanges = defaultdict[Calendar, list[str]](list)
    for symbol in symbols:
        calendar = markets.market(symbol).calendar
        if calendar and calendar.is_exchange:
            exchanges[calendar].append(symbol)
    return exchanges


def _times(interval: str, zones: Mapping[ZoneInfo, list[str]]) -> Sequence[pl.Expr]:
    if not zones:
        return _times_in_utc(interval)
    start = pl.col("timestamp")
    local = [
        pl.when(pl.col("symbol").is_in(symbols)).then(
            start.dt.convert_time_zone(zone.key).dt.date()
        )
        for zone, symbols in zones.items()
    ]
    return _times_by_date(interval, local)


@cache
def _times_in_utc(interval: str) -> Sequence[pl.Expr]:
    """Cached, for to write expressions down takes longer than to judge a few candles."""
    return _times_by_date(interval, [])


def _times_by_date(interval: str, local_dates: Sequence[pl.Expr]) -> Sequence[pl.Expr]:
    """A midnight UTC is how a bare date is often served, so its date counts in every zone."""
    start, began = pl.col("timestamp"), pl.col("timestamp").alias("began")
    closes = pl.coalesce("closes_at", start + INTERVALS[interval]).alias("closes_at")
    stated = pl.col("closes_at").is_not_null().alias("is_stated")
    if INTERVALS[interval] < _DAY:
        phase = start - start.dt.truncate("1m")
        return began, closes, stated, phase.dt.total_microseconds().alias("phase")
    date = start.dt.date()
    if local_dates:
        bare = pl.when(start.dt.time() == pl.time(0)).then(date)
        date = pl.coalesce(bare, *local_dates, date)
    dated = pl.when(start.is_not_null()).then(pl.coalesce("session", date)).cast(TIMESTAMP)
    phase = (start - dated).dt.total_microseconds().alias("phase")
    return began, closes, stated, phase, dated.alias("timestamp")


def _off_grid(placed: pl.DataFrame, interval: str) -> pl.Series:
    """By the time of day for days and weeks, else by the second.

    A time of day that is a usual one, such as the close of a half day, is off the grid only
    beside another candle of its session; so is an odd day beside another candle of its week.
    """
    phase = placed["phase"]
    if not (phase != 0).any():
        if interval == "1w":
            return placed.select(_in_running_week().alias("off_grid"))["off_grid"]
        return pl.repeat(value=False, n=placed.height, eager=True).alias("off_grid")
    daily = INTERVALS[interval] >= _DAY
    distance = (pl.col("phase") - pl.col("phase").median().over("symbol")).abs()
    usual = (distance % _microseconds(_USUAL_STEP)) == 0
    near = usual & (distance <= _microseconds(_SUMMER_TIME)) if daily else distance == 0
    count = pl.col("phase").count().over("symbol")
    has_grid = near.sum().over("symbol") >= pl.max_horizontal(2, _ON_GRID_SHARE * (count - 1))
    alone = pl.len().over("symbol", "timestamp") == 1
    kept = near | (usual & alone) if daily else near
    off_grid = (has_grid & ~kept).fill_null(value=False)
    if interval == "1w":
        off_grid |= _in_running_week()
    return placed.select(off_grid.alias("off_grid"))["off_grid"]


def _in_running_week() -> pl.Expr:
    """Which weeks begin on another day than nearly all of their series, in a week that has begun.

    A week that begins late, after a holiday, is alone in it.
    """
    start = pl.col("timestamp")
    weekday = start.dt.weekday().cast(pl.Int64)
    late = (weekday - weekday.median().over("symbol").cast(pl.Int64)) % 7
    count = pl.col("timestamp").count().over("symbol")
    has_grid = (late == 0).sum().over("symbol") >= pl.max_horizontal(
        2, _ON_GRID_SHARE * (count - 1)
    )
    shared = pl.len().over("symbol", start - pl.duration(days=late)) > 1
    return (has_grid & (late != 0) & shared).fill_null(value=False)


def _microseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
