"""The bars that a series lacks by its calendar, and the holes that no closure explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np

from mlengine.core.arrays import Flags, Ints, Moments
from mlengine.core.calendars.calendar import Calendar
from mlengine.core.calendars.expected import are_shifted, bars_lost, usual_longest
from mlengine.core.calendars.hours import WITHOUT_HOLIDAYS
from mlengine.core.timestamps import EPOCH

_MICROSECOND = timedelta(microseconds=1)
_DAY_US = timedelta(days=1) // _MICROSECOND
# As many as make a feed stale: a halt or a lost minute is no hole.
_HOLE_BARS = 3
# The longest gap of a day in hundreds is over twice the usual one, where trades are few.
_TIMES_USUAL = 3
# The longest holidays of a market that nobody named: six weekdays in China and Japan.
_HOLIDAY_DAYS = 8
# A time of day at which trading stops on so many days is a break or a close, not a loss.
_CLOSING_SHARE = 0.3
_BEYOND_CHANCE, _MOST_DAYS = 3, 0.8
_FEW_DAYS = 7
_NOON_BREAK_US = tuple(timedelta(minutes=minutes) // _MICROSECOND for minutes in (60, 150))
_SHORTEST_NIGHT_US = timedelta(hours=4) // _MICROSECOND
# An hour of summer time, and the minutes without a trade.
_NIGHTS_APART_US = timedelta(minutes=75) // _MICROSECOND


@dataclass(frozen=True)
class Hole:
    """Between the starts of two bars that follow each other."""

    start: datetime
    end: datetime
    missing_bars: int


@dataclass(frozen=True, eq=False)
class Gaps:
    """`missing` is how many expected bars each bar lacks before the next one, `is_hole` where.

    `usual` is how many in a row such a series lacks now and then; see `are_shifted`.
    """

    starts: Moments
    missing: Ints
    is_hole: Flags
    usual: int = 0
    is_shifted: bool = False

    @property
    def missing_bars(self) -> int:
        return int(self.missing.sum())

    def tail(self, bars: int) -> Gaps:
        """Those between the last bars."""
        first = max(0, len(self.starts) - bars)
        at = slice(first, None)
        return replace(
            self, starts=self.starts[at], missing=self.missing[at], is_hole=self.is_hole[at]
        )

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
    missing = bars_lost(starts, calendar, interval)
    if not missing.any():
        return Gaps(starts, missing, np.zeros(len(missing), np.bool_))
    width = interval // _MICROSECOND
    if calendar.name not in WITHOUT_HOLIDAYS:
        usual = usual_longest(missing, starts, interval)
        is_hole = missing >= max(_HOLE_BARS, _TIMES_USUAL * usual + 1)
        return Gaps(starts, missing, is_hole, usual, are_shifted(starts, calendar, interval))
    days_missing = missing * width // _DAY_US if width <= _DAY_US else missing
    is_hole = days_missing >= (_HOLIDAY_DAYS if width <= _DAY_US else _HOLE_BARS)
    if width >= _DAY_US:
        return Gaps(starts, missing, is_hole)
    lost = np.where((missing > 0) & ~_is_closure(starts), missing, 0)
    usual = usual_longest(lost, starts, interval)
    is_hole |= lost >= max(_HOLE_BARS, _TIMES_USUAL * usual + 1)
    return Gaps(starts, np.where(is_hole, missing, lost), is_hole, usual)


def _is_closure(starts: Moments) -> Flags:
    """Whether the gap after each bar begins or ends at the time of many others.

    A half day ends early, and the next day begins as all do; nights are alike before summer time
    and in it, and where the first minutes of a day have no trade. Few days show no such times:
    there any night is a closure, and what may be a break at noon.
    """
    days, gaps = starts // _DAY_US, np.diff(starts)
    wide, night = gaps >= 2 * np.min(gaps), gaps >= _SHORTEST_NIGHT_US
    count = len(np.unique(days))
    if count < _FEW_DAYS:
        shortest, longest = _NOON_BREAK_US
        break_us = gaps - np.min(gaps)
        may_be_noon = (break_us >= shortest) & (break_us <= longest)
        return np.asarray((np.diff(days) > 0) | night | may_be_noon)
    recurs = np.zeros(len(gaps), np.bool_)
    for moments in (starts[:-1], starts[1:]):
        recurs[wide] |= _recurrences(moments[wide], 0) >= _break_share(starts, wide) * count
        recurs[night] |= _recurrences(moments[night], _NIGHTS_APART_US) >= _CLOSING_SHARE * count
    return recurs


def _break_share(starts: Moments, wide: Flags) -> float:
    """On how many of the days a break is at one time: more than where trades are few by chance."""
    times_of_day = len(np.unique(starts % _DAY_US))
    by_chance = float(wide.sum()) / times_of_day / len(np.unique(starts // _DAY_US))
    return min(max(_CLOSING_SHARE, _BEYOND_CHANCE * by_chance), _MOST_DAYS)


def _recurrences(moments: Moments, apart: int) -> Ints:
    """How many of the moments are at the time of day of each, or no more than that apart."""
    times = np.sort(moments % _DAY_US)
    times = np.concatenate([times - _DAY_US, times, times + _DAY_US])
    of_day = moments % _DAY_US
    first = np.searchsorted(times, of_day - apart)
    return np.searchsorted(times, of_day + apart, side="right") - first


def _moment(microseconds: np.int64) -> datetime:
    return EPOCH + timedelta(microseconds=int(microseconds))
