"""When the newest bar of a calendar is final: the moment at which its symbols are scored."""

from datetime import datetime, timedelta

import numpy as np

from mlengine.core.arrays import Moments
from mlengine.core.calendars.calendar import Calendar
from mlengine.core.signals.signal import Tick
from mlengine.core.timestamps import EPOCH

_DAY, _WEEK, _MICROSECOND = timedelta(days=1), timedelta(weeks=1), timedelta(microseconds=1)
_FIRST_MONDAY = EPOCH + 4 * _DAY


def newest_tick(calendar: Calendar, interval: timedelta, *, now: datetime) -> Tick | None:
    """The last tick up to and including `now`; None outside of the calendar's time.

    Daily bars are final with the close of their session, weekly ones at the end of their Sunday,
    shorter ones after their interval or with the end of trading, whichever comes first.
    """
    if interval >= _WEEK:
        at = _FIRST_MONDAY + (now - _FIRST_MONDAY) // _WEEK * _WEEK
        return Tick(at, at - _WEEK, at + _WEEK)
    if interval >= _DAY:
        return _tick_of_session(calendar, now)
    return _tick_within_session(calendar, interval // _MICROSECOND, now)


def is_bar_of(tick: Tick, start: datetime, calendar: Calendar, interval: timedelta) -> bool:
    """Whether the bar that begins at `start` is the newest one that is final at the tick."""
    return start < tick.at and calendar.bars_elapsed(start, tick.at, interval) < 1.0


def _tick_of_session(calendar: Calendar, now: datetime) -> Tick | None:
    last = int(np.searchsorted(calendar.closes, _number(now), side="right")) - 1
    if not 0 <= last < len(calendar.closes) - 1:
        return None
    at, next_at = (_moment(calendar.closes, place) for place in (last, last + 1))
    return Tick(at, EPOCH + int(calendar.days[last]) * _DAY, next_at)


def _tick_within_session(calendar: Calendar, width: int, now: datetime) -> Tick | None:
    """`width` in microseconds."""
    (starts, ends), moment = calendar.spells, _number(now)
    spell = int(np.searchsorted(starts, moment, side="right")) - 1
    if spell >= 0 and moment < min(int(starts[spell]) + width, int(ends[spell])):
        spell -= 1  # its first bar is not final yet
    if not 0 <= spell < len(starts) - 1:
        return None
    start, end = int(starts[spell]), int(ends[spell])
    if moment >= end:
        at = end
        begun = start + (end - start - 1) // width * width
        following = min(int(starts[spell + 1]) + width, int(ends[spell + 1]))
    else:
        at = start + (moment - start) // width * width
        begun, following = at - width, min(at + width, end)
    return Tick(*(EPOCH + each * _MICROSECOND for each in (at, begun, following)))


def _number(moment: datetime) -> int:
    return (moment - EPOCH) // _MICROSECOND


def _moment(moments: Moments, place: int) -> datetime:
    return EPOCH + int(moments[place]) * _MICROSECOND
