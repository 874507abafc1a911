"""The bars that a series lacks by its calendar, and the holes that no closure explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np

from mlengine.core.arrays import Flags, Ints, Moments
from mlengine.core.calendars.calendar import Calendar
from mlengine.core.calendars.expected import usual_longest_gap
from mlengine.core.calendars.hours import WITHOUT_HOLIDAYS
from mlengine.core.timestamps import EPOCH

_MICROSECOND = timedelta(microseconds=1)
_DAY_US = timedelta(days=1) // _MICROSECOND
# As many as make a feed stale: a halt or a lost minute is no hole.
_HOLE_BARS = 3
# The longest holidays of a market that nobody named: six weekdays in China and Japan.
_HOLIDAY_DAYS = 8
# A time of day at which trading stops on so many days is a break or a close, not a loss.
_CLOSING_SHARE = 0.3
_FEW_DAYS = 7


@dataclass(frozen=True)
class Hole:
    """Between the starts of two bars that follow each other."""

    start: datetime
    end: datetime
    missing_bars: int


@dataclass(frozen=True, eq=False)
class Gaps:
    """`missing` is how many expected bars each bar lacks before the next one, `is_hole` where.

    `usual` is how many in a row such a series lacks now and then.
    """

    starts: Moments
    missing: Ints
    is_hole: Flags
    usual: int = 0

    @property
    def missing_bars(self) -> int:
        return int(self.missing.sum())

    def tail(self, bars: int) -> Gaps:
        """Those between the last bars."""
        first = max(0, len(self.starts) - bars)
        return Gaps(self.starts[first:], self.missing[first:], self.is_hole[first:], self.usual)

    def while_listed(self, first: date | None, last: date | None) -> Gaps:
        """Without what is missing before the first day or after the last one, by UTC."""
        if first is last is None:
            return self
        days = self.starts // _DAY_US + EPOCH.toordinal()
        before = days[:-1] < (first or date.min).toordinal()
        after = days[1:] > (last or date.max).toordinal()
        return replace(self, missing=np.where(before | after, 0, self.missing))

    def holes(self) -> Sequence[Hole]:
        return [
            Hole(_moment(self.starts[row]), _moment(self.starts[row + 1]), int(self.missing[row]))
            for row in np.flatnonzero(self.is_hole)
        ]

    def labels_across(self, label_bars: int) -> Flags:
        """Of each bar, whether one of the next `label_bars` steps leads over a hole."""
        before = np.append(0, np.cumsum(self.is_hole))
        rows = np.arange(len(self.starts))
        return before[np.minimum(rows + label_bars, len(before) - 1)] > before[rows]


def find_gaps(starts: Moments, interval: timedelta, calendar: Calendar) -> Gaps:
    """What is missing between the bars of a series, which begin at `starts`.

    `weekdays` knows neither hours nor holidays: there, within a day, what is missing where trade
    doesn't stop on other days counts, and over days only what no holidays explain.
    """
    if len(starts) < 2:
        return Gaps(starts, np.zeros(0, np.int64), np.zeros(0, np.bool_))
    missing = calendar.bars_missing(starts, interval)
    if not missing.any():
        return Gaps(starts, missing, np.zeros(len(missing), np.bool_))
    width = interval // _MICROSECOND
    if calendar.name not in WITHOUT_HOLIDAYS:
        usual = usual_longest_gap(starts, calendar, interval)
        return Gaps(starts, missing, missing >= max(_HOLE_BARS, 2 * usual + 1), usual)
    days_missing = missing * width // _DAY_US if width <= _DAY_US else missing
    is_hole = days_missing >= (_HOLIDAY_DAYS if width <= _DAY_US else _HOLE_BARS)
    if width >= _DAY_US:
        return Gaps(starts, missing, is_hole)
    lost = np.where((missing > 0) & ~_is_closure(starts), missing, 0)
    usual = int(np.median(lost[lost > 0])) if lost.any() else 0
    is_hole |= lost >= max(_HOLE_BARS, 2 * usual + 1)
    return Gaps(starts, np.where(is_hole, missing, lost), is_hole, usual)


def _is_closure(starts: Moments) -> Flags:
    """Whether the gap after each bar begins or ends at the time of many others.

    A half day ends early, and the next day begins as all do. Few days show no such times: there
    any night is a closure.
    """
    days, gaps = starts // _DAY_US, np.diff(starts)
    wide = gaps >= 2 * np.min(gaps)
    count = len(np.unique(days))
    if count < _FEW_DAYS:
        return np.diff(days) > 0
    recurs = np.zeros(len(gaps), np.bool_)
    for moments in (starts[:-1], starts[1:]):
        _, place, counts = np.unique(
            moments[wide] % _DAY_US, return_inverse=True, return_counts=True
        )
        recurs[wide] |= (counts >= _CLOSING_SHARE * count)[place]
    return recurs


def _moment(microseconds: np.int64) -> datetime:
    return EPOCH + timedelta(microseconds=int(microseconds))
