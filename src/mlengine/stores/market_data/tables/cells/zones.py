"""From local times to moments: by an offset or zone that a row states, else by its file's zone."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl

from mlengine.core.bars.bars import TIMESTAMP
from mlengine.stores.market_data.tables.settings import is_zone
from mlengine.stores.market_data.tables.table import LocalTimes, constant

ZoneOf = Callable[[str], ZoneInfo | None]

_OFFSET = re.compile(r"(?:GMT|UTC)?([+-])(\d\d):?(\d\d)?(?::(\d\d))?", re.ASCII)
_UTC_NAMES = frozenset(("z", "utc", "gmt"))
# The tz database has EST, MST, CET, EET and WET. What markets far apart call alike is not here: CST
# is Chicago's and Shanghai's, PST San Francisco's and Manila's, IST three countries'.
_ABBREVIATIONS = {
    "edt": "-04:00",
    "mdt": "-06:00",
    "west": "+01:00",
    "cest": "+02:00",
    "eest": "+03:00",
    "hkt": "+08:00",
    "jst": "+09:00",
    "kst": "+09:00",
    "aest": "+10:00",
    "aedt": "+11:00",
}
_MOST_ZONES = 64
_Ambiguous = Literal["earliest", "latest", "null"]


def to_moments(
    times: LocalTimes, series: pl.Series, zones: Mapping[str, str], *, of_file: bool = False
) -> tuple[pl.Series, pl.Series]:
    """The moments in UTC of local times, and the dates of the sessions that the rows state.

    `zones` has the zone of the times of each of the `series` of which a row states none. A session
    is what a bare date, or a row with an offset, states, or any row where the zones are those
    `of_file`; where all offsets are zero these only say that the times are UTC. An hour that comes
    twice when summer time ends is told apart by the order of its rows, and is null where the order
    doesn't tell; so is one that never was.
    """
    local = times.local
    sessions = _dates_alone(times)
    if times.common_zone is not None:
        at, is_elsewhere = _in_stated(local, times.common_zone, series)
        return at, local.dt.date() if is_elsewhere else sessions
    if times.zones is None:
        return _in_zones(times, series, zones), local.dt.date() if of_file else sessions
    stated = times.zones
    if of_file:
        sessions = local.dt.date().zip_with(stated.is_null(), sessions)
    at = constant(None, TIMESTAMP, len(local))
    if stated.null_count():
        unplaced = replace(times, local=local.set(stated.is_not_null(), None))
        at = _in_zones(unplaced, series, zones)
    is_elsewhere = False
    for zone in stated.drop_nulls().unique().to_list()[:_MOST_ZONES]:
        mine = (stated == zone).fill_null(value=False)
        here, elsewhere = _in_stated(local if mine.all() else local.set(~mine, None), zone, series)
        at = here.zip_with(mine, at)
        is_elsewhere |= elsewhere
    if is_elsewhere:
        sessions = local.dt.date().zip_with(stated.is_not_null(), sessions)
    return at, sessions


def all_state_zones(times: LocalTimes) -> bool:
    """Whether the zones of the series say nothing of these times."""
    has_all = times.zones is not None and times.zones.null_count() == 0
    return times.common_zone is not None or has_all


def _dates_alone(times: LocalTimes) -> pl.Series:
    """The dates of bare dates, null for all other times."""
    if times.bare is False:
        return constant(None, pl.Date(), len(times.local))
    dates = times.local.dt.date()
    return dates if times.bare is True else dates.set(~times.bare, None)


def _in_zones(times: LocalTimes, series: pl.Series, zones: Mapping[str, str]) -> pl.Series:
    """A date whose midnight never was, or was twice, begins within the hour after it."""
    at = _by_series(times.local, series, zones)
    if times.bare is False or at.null_count() == times.local.null_count():
        return at
    dateless = at.is_null() if times.bare is True else at.is_null() & times.bare
    return _by_series(times.local + timedelta(hours=1), series, zones).zip_with(dateless, at)


def _by_series(local: pl.Series, series: pl.Series, zones: Mapping[str, str]) -> pl.Series:
    names = set(zones.values()) or {"UTC"}
    if len(names) == 1:
        return in_zone(local, names.pop(), series)
    at = constant(None, TIMESTAMP, len(local))
    of_row = series.replace_strict(zones, default="UTC", return_dtype=pl.String)
    for name in names:
        mine = of_row == name
        at = in_zone(local.set(~mine, None), name, series).zip_with(mine, at)
    return at


def _in_stated(local: pl.Series, zone: str, series: pl.Series) -> tuple[pl.Series, bool]:
    """The moments, and whether the zone says more than that they are UTC."""
    if zone.lower() in _UTC_NAMES:
        return _utc(local), False
    if match := _OFFSET.fullmatch(_ABBREVIATIONS.get(zone.lower(), zone)):
        sign, hours, minutes, seconds = match.groups()
        offset = pl.duration(hours=int(hours), minutes=int(minutes or 0), seconds=int(seconds or 0))
        signed = offset if sign == "+" else -offset
        at = local.to_frame("local").select(pl.col("local") - signed).to_series()
        return _utc(at), any(int(part or 0) for part in (hours, minutes, seconds))
    if is_zone(zone):
        return in_zone(local, zone, series), True
    return constant(None, TIMESTAMP, len(local)), False


def in_zone(local: pl.Series, zone: str, series: pl.Series) -> pl.Series:
    """Local times of a zone as moments; see `to_moments`."""
    if zone == "UTC":
        return _utc(local)
    at = _localized(local, zone, "null")
    doubtful = at.is_null() & local.is_not_null()
    if not doubtful.any():
        return at
    earlier, later = _localized(local, zone, "earliest"), _localized(local, zone, "latest")
    passes = _fold_passes(local, doubtful & earlier.is_not_null(), series)
    at = earlier.zip_with((passes == 1).fill_null(value=False), at)
    return later.zip_with((passes == 2).fill_null(value=False), at)


def _fold_passes(local: pl.Series, twice: pl.Series, series: pl.Series) -> pl.Series:
    """1 or 2 for a time in an hour that comes twice; null where the order doesn't tell.

    In rows that run forward the second pass begins where the time of the day falls back, in rows
    that run backward where it leaps forward.
    """
    frame = pl.DataFrame({"local": local, "series": series, "twice": twice})
    frame = frame.with_row_index("row").filter(pl.col("local").is_not_null())
    step = pl.col("local").diff().over("series")
    forward = ((step > pl.duration()).sum() >= (step < pl.duration()).sum()).over("series")
    frame = frame.with_columns(forward.alias("forward"))
    hours = frame.filter("twice").with_columns(pl.col("local").dt.date().alias("day"))
    key = ("series", "day")
    before = pl.col("local").shift(1).over(key)
    back = pl.when("forward").then(pl.col("local") < before).otherwise(pl.col("local") > before)
    # Hourly bars have but one time in such an hour, and it comes twice.
    hourly = pl.col("local").n_unique().over(key) == 1
    against = back | (hourly & (pl.col("local") == before))
    turns = against.fill_null(value=False).cum_sum().over(key)
    hours = hours.with_columns(turns.alias("turns"))
    both = (pl.col("turns").max().over(key) == 1) & (pl.col("turns").min().over(key) == 0)
    first = (pl.col("turns") == 0) == pl.col("forward")
    number = pl.when(both).then(pl.when(first).then(1).otherwise(2))
    hours = hours.select("row", number.cast(pl.Int8).alias("pass"))
    return pl.repeat(None, len(local), dtype=pl.Int8, eager=True).scatter(
        hours["row"], hours["pass"]
    )


def _localized(local: pl.Series, zone: str, ambiguous: _Ambiguous) -> pl.Series:
    return (
        local.dt.replace_time_zone(zone, ambiguous=ambiguous, non_existent="null")
        .dt.convert_time_zone("UTC")
        .cast(TIMESTAMP)
    )


def _utc(local: pl.Series) -> pl.Series:
    return local.dt.replace_time_zone("UTC").cast(TIMESTAMP)
