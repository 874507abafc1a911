"""The calendar that the bars of a series suggest, where nobody names one."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from mlengine.core.arrays import Moments
from mlengine.core.calendars.calendar import Calendar
from mlengine.core.calendars.expected import BarCadence, usual_longest_gap
from mlengine.core.calendars.hours import (
    ALWAYS,
    FOREIGN_EXCHANGE,
    SUNDAY_TO_THURSDAY,
    WEEKDAYS,
    WITHOUT_HOLIDAYS,
)
from mlengine.core.calendars.named import calendar

# Bars of so many days show a whole weekend, whenever they begin.
DAYS_WITH_WEEKEND = timedelta(days=9)

_MICROSECOND = timedelta(microseconds=1)
_HOUR_US, _DAY_US = timedelta(hours=1) // _MICROSECOND, timedelta(days=1) // _MICROSECOND
_WEEKS = timedelta(days=28) // _MICROSECOND
_FRIDAY, _SATURDAY, _SUNDAY = 4, 5, 6
# One may be an odd session.
_FEWEST_SUNDAYS = 2
# Where evening trade of Friday in New York is over, and foreign exchange not open again.
_WEEKEND_FROM, _WEEKEND_TO = 2 * _HOUR_US, 20 * _HOUR_US
_ROUND_THE_CLOCK = 22 / 24


def infer_cadence(
    starts: Moments, interval: timedelta, *, named: Calendar | None
) -> BarCadence | None:
    """What a series with bars at `starts` lets expect; None where no more than a week is known."""
    suggested = named or infer_calendar(starts, interval)
    if named is None and suggested.name in WITHOUT_HOLIDAYS:
        return None
    return BarCadence(suggested, interval, usual_longest_gap(starts, suggested, interval))


def infer_calendar(starts: Moments, interval: timedelta) -> Calendar:
    """The calendar that the last four weeks of `starts` (microseconds UTC, sorted) look like.

    `24/7` where half of the weekends or more have bars on both days, or, where no whole weekend is
    in sight, where bars go round the clock, or on without a night, and on after foreign exchange
    has closed on Friday.
    `24/5` where they only go round the clock on weekdays. `sunday-thursday` where half of the
    Sundays or more have bars, and no Friday and no Saturday has one; else `weekdays`.
    """
    recent = starts[starts > starts[-1] - _WEEKS] if len(starts) else starts
    if not len(recent):
        return calendar(WEEKDAYS)
    width = interval // _MICROSECOND
    saturdays, sundays = _weekend_days(recent, width)
    weekends = _whole_weekends(int(recent[0]), int(recent[-1]) + width)
    if weekends and min(len(saturdays & weekends), len(sundays & weekends)) * 2 >= len(weekends):
        return calendar(ALWAYS)
    sleepless = width < _DAY_US and (_goes_round_the_clock(recent, width) or _has_no_night(recent))
    if sleepless and not weekends and _after_foreign_exchange(recent, width):
        return calendar(ALWAYS)
    if width >= _DAY_US or not _goes_round_the_clock(recent, width):
        return calendar(_working_week(recent, width))
    return calendar(FOREIGN_EXCHANGE)


def _working_week(starts: Moments, width: int) -> str:
    """The name of the week by the days that have bars.

    Weeks show none, nor do days that begin in the evening: these may be the next ones elsewhere.
    """
    if width > _DAY_US or (width == _DAY_US and (starts % _DAY_US >= _DAY_US // 2).any()):
        return WEEKDAYS
    weeks, weekdays = np.divmod(np.unique(starts // _DAY_US) + 3, 7)  # 1970 began on a Thursday
    counts = np.bincount(weekdays, minlength=_SUNDAY + 1)
    has_sundays = counts[_SUNDAY] >= _FEWEST_SUNDAYS and 2 * counts[_SUNDAY] >= len(set(weeks))
    return SUNDAY_TO_THURSDAY if has_sundays and not counts[_FRIDAY:_SUNDAY].any() else WEEKDAYS


def spans_weekend(starts: Moments, interval: timedelta) -> bool:
    """Whether a whole weekend lies between the first of `starts` and the end of the last bar."""
    width = interval // _MICROSECOND
    return bool(len(starts) and _whole_weekends(int(starts[0]), int(starts[-1]) + width))


def _weekend_days(starts: Moments, width: int) -> tuple[set[int], set[int]]:
    """The weeks that have a bar on Saturday, and those that have one on Sunday."""
    days, within = starts // _DAY_US, starts % _DAY_US
    if width < _DAY_US:
        days = days[(within + width > _WEEKEND_FROM) & (within < _WEEKEND_TO)]
    weeks, weekdays = np.divmod(days + 3, 7)  # 1970 began on a Thursday
    on_saturday, on_sunday = weeks[weekdays == _SATURDAY], weeks[weekdays == _SUNDAY]
    return set(on_saturday.tolist()), set(on_sunday.tolist())


def _whole_weekends(first: int, end: int) -> set[int]:
    """The weeks whose Saturday and Sunday lie between two moments."""
    weeks = range((first // _DAY_US + 3) // 7, (end // _DAY_US + 3) // 7 + 1)
    saturdays = {week: (week * 7 + _SATURDAY - 3) * _DAY_US for week in weeks}
    return {week for week, day in saturdays.items() if first <= day and day + 2 * _DAY_US <= end}


def _goes_round_the_clock(starts: Moments, width: int) -> bool:
    """Whether nearly all hours of the day have bars, on a quarter of the weekdays or more."""
    slot = max(_HOUR_US, width)
    on_weekdays = starts[(starts // _DAY_US + 3) % 7 < _SATURDAY]
    days_of_slot = np.unique(on_weekdays // slot) % (_DAY_US // slot)
    counts = np.bincount(days_of_slot, minlength=_DAY_US // slot)
    days = len(np.unique(on_weekdays // _DAY_US))
    return bool((counts * 4 >= max(days, 1)).mean() >= _ROUND_THE_CLOCK)


def _has_no_night(starts: Moments) -> bool:
    """Whether the bars of less than a week go on without a pause of four hours."""
    return bool(len(starts) > 1 and np.diff(starts).max() < 4 * _HOUR_US)


def _after_foreign_exchange(starts: Moments, width: int) -> bool:
    """Whether an hour or more of bars begins while foreign exchange is closed."""
    opens, closes = calendar(FOREIGN_EXCHANGE).spells
    closed = starts >= closes[np.searchsorted(opens, starts, side="right") - 1]
    return bool(closed.sum() * width >= _HOUR_US)
