"""The bars that are expected of one series."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np

from mlengine.core.arrays import Ints, Moments
from mlengine.core.calendars.calendar import Calendar
from mlengine.core.calendars.hours import FOREIGN_EXCHANGE

# So many bars have to be missing before a feed counts as stale.
MISSED_BARS = 3
# A closing auction has fewer bars than those of an hour.
_SHIFTED_SHARE, _ABOUT = 0.05, 2.0
_GAPS = 5_000
_BARS_A_STRETCH = 20
# Fewer stretches say nothing of an ordinary one: the only outage would be the usual gap.
_FEWEST_STRETCHES = 5
# Twenty bars show about half of the longest gap that a day has.
_SHORT_OF_A_DAY = 2
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
# Futures and currencies pause for up to two hours, within an hour of five in New York.
_LONGEST_PAUSE = timedelta(hours=2) // _MICROSECOND
_FROM_CLOSE = timedelta(hours=1) // _MICROSECOND


@dataclass(frozen=True)
class BarCadence:
    """By a calendar; such a series lacks `usual_longest_gap` bars in a row now and then."""

    calendar: Calendar
    interval: timedelta
    usual_longest_gap: int = 0

    @property
    def stale_bars(self) -> int:
        """So many missing bars are more than the series usually lacks."""
        return max(MISSED_BARS, 2 * self.usual_longest_gap)

    def stale_from(self, last_start: datetime) -> datetime | None:
        """When a series is stale whose last bar begins at `last_start`; None in no known time."""
        return _stale_from(self, last_start)


@lru_cache(maxsize=10_000)
def _stale_from(cadence: BarCadence, last_start: datetime) -> datetime | None:
    return cadence.calendar.elapsed_at(last_start, cadence.stale_bars, cadence.interval)


def usual_longest_gap(starts: Moments, calendar: Calendar, interval: timedelta) -> int:
    """The longest gap in an ordinary stretch of a series, in bars; 0 without bars.

    Bars of a wrong zone lack others for another reason than few trades.
    """
    recent = starts[-_GAPS:]
    if len(recent) < 2 or are_shifted(recent, calendar, interval):
        return 0
    return usual_longest(calendar.bars_missing(recent, interval), recent, interval)


def are_shifted(starts: Moments, calendar: Calendar, interval: timedelta) -> bool:
    """Whether the sessions lack about as many bars as stand outside of them.

    So do bars of a wrong zone; trade before and after the session comes beside its own bars.
    """
    outside = calendar.outside_share(starts) if interval < _DAY else 0.0
    if outside <= _SHIFTED_SHARE:
        return False
    missing = int(calendar.bars_missing(starts, interval).sum()) / len(starts)
    return outside / _ABOUT <= missing <= outside * _ABOUT


def usual_longest(gaps: Ints, starts: Moments, interval: timedelta) -> int:
    """The longest of `gaps`, which follow each of `starts` but the last, in an ordinary stretch.

    A stretch is a day, and twenty bars at least: a series that is traded now and then has its gaps
    in most of them, an outage is in few. Where there are few days, twenty bars one after another
    show what they can.
    """
    gaps, starts = gaps[-_GAPS:], starts[-_GAPS - 1 :]
    if not gaps.any():
        return 0
    stretch = max(_DAY, _BARS_A_STRETCH * interval) // _MICROSECOND
    first_of_stretch = np.flatnonzero(np.diff(starts[1:] // stretch, prepend=-1))
    if len(first_of_stretch) >= _FEWEST_STRETCHES:
        return int(np.median(np.maximum.reduceat(gaps, first_of_stretch)))
    longest = np.maximum.reduceat(gaps, np.arange(0, len(gaps), _BARS_A_STRETCH))
    return _SHORT_OF_A_DAY * int(np.sort(longest)[(len(longest) - 1) // 2])


def bars_lost(starts: Moments, calendar: Calendar, interval: timedelta) -> Ints:
    """The calendar's `bars_missing`, without the daily pause of markets from Sunday to Friday."""
    missing = calendar.bars_missing(starts, interval)
    if calendar.name != FOREIGN_EXCHANGE or interval >= _DAY:
        return missing
    width, closes = interval // _MICROSECOND, calendar.spells[1]
    ends = starts[:-1] + width
    close = closes[np.searchsorted(closes, ends - _FROM_CLOSE).clip(max=len(closes) - 1)]
    is_pause = (np.abs(close - ends) <= _FROM_CLOSE) & (missing * width <= _LONGEST_PAUSE)
    return np.where(is_pause, 0, missing)
