"""The bars that are expected of one series."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np

from mlengine.core.arrays import Moments
from mlengine.core.calendars.calendar import Calendar

# So many bars have to be missing before a feed counts as stale.
MISSED_BARS = 3
_GAPS = 5_000
_BARS_A_STRETCH = 20


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

    A stretch is a day, and twenty bars at least: a series that is traded now and then has its gaps
    in most of them, an outage is in few.
    """
    recent = starts[-_GAPS:]
    if len(recent) < 2:
        return 0
    stretch = max(timedelta(days=1), _BARS_A_STRETCH * interval) // timedelta(microseconds=1)
    gaps = calendar.bars_missing(recent, interval)
    first_of_stretch = np.flatnonzero(np.diff(recent[1:] // stretch, prepend=-1))
    return int(np.median(np.maximum.reduceat(gaps, first_of_stretch)))
