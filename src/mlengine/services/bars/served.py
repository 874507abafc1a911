"""Bars as they are served: with where they come from."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from mlengine.core.bars.bars import BarArrays, CleanBars
from mlengine.stores.bars.cache import CachedBars

RECORDED, RECONSTRUCTED = "recorded", "reconstructed"


class Origin(NamedTuple):
    """Whether bars were recorded when they are said to be known, or are taken from later.

    `upstream_age_seconds` is since when the upstream has not answered, where it can't be reached.
    """

    point_in_time: str = RECORDED
    upstream_age_seconds: float | None = None


LIVE = Origin()


class ServedWindow(NamedTuple):
    """The newest bars of a symbol, as many as were asked for."""

    bars: BarArrays
    origin: Origin


@dataclass(frozen=True, eq=False)
class ServedBars(CleanBars):
    """The newest bars of a symbol, with a report on the candles that they come from."""

    origin: Origin


class BarsView(NamedTuple):
    """The first `end` of some bars."""

    cached: CachedBars
    end: int
    origin: Origin


def view_in_memory(
    cached: CachedBars, *, bars: int, as_of: datetime | None, now: datetime
) -> BarsView | None:
    """What `cached` says of the newest `bars` bars (0: all), None where others may know better.

    A question that is older than the bars is answered as of then.
    """
    age = (now - cached.fetched_at).total_seconds() if cached.outage else None
    if as_of is None and cached.fetched_at <= now:
        rows = cached.clean.arrays.rows
        if now >= cached.expires_at or not cached.have_enough(bars, rows):
            return None
        return BarsView(cached, rows, LIVE if age is None else Origin(RECORDED, age))
    moment = now if as_of is None else as_of
    if moment > cached.fetched_at:
        return None
    end = cached.arrays.count_known_at(moment)
    seen = cached.had_been_seen(moment, bars, end) if cached.have_enough(bars, end) else None
    if seen is None:
        return None
    kind = RECORDED if seen or as_of is None else RECONSTRUCTED
    return BarsView(cached, end, Origin(kind, age))
