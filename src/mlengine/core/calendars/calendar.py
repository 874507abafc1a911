"""The sessions of a market, and how many bars are expected of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from mlengine.core.arrays import Ints, Moments
from mlengine.core.timestamps import EPOCH

_MICROSECOND = timedelta(microseconds=1)
_DAY_US, _WEEK_US = timedelta(days=1) // _MICROSECOND, timedelta(weeks=1) // _MICROSECOND
_EPOCH_DATE = EPOCH.date()


@dataclass(frozen=True, eq=False)
class Calendar:
    """Sessions from `days[0]` to `days[-1]`, outside of which it says nothing.

    `days` counts the date of each session from 1970; `opens` and `closes` are its moments, in
    microseconds UTC. `spells` are the times of trading without a break, as starts and ends: a
    session with a lunch break has two. An exchange's session ends its last bar; other calendars
    (`24/7`, `24/5`, `weekdays`, `sunday-thursday`) say only when there is trading.
    """

    name: str
    timezone: ZoneInfo
    is_exchange: bool
    days: Ints = field(repr=False)
    opens: Moments = field(repr=False)
    closes: Moments = field(repr=False)
    spells: tuple[Moments, Moments] = field(repr=False)

    @cached_property
    def first(self) -> date:
        return _date(int(self.days[0]))

    @cached_property
    def last(self) -> date:
        return _date(int(self.days[-1]))

    def sessions(self, first: date, last: date) -> list[date]:
        """The dates of the sessions between two dates, both included."""
        begin, end = np.searchsorted(self.days, [_day(first), _day(last) + 1])
        return [_date(day) for day in self.days[begin:end].tolist()]

    def session_close(self, day: date) -> datetime | None:
        """When the session of that date ends; None where there is none."""
        return self._moment(self.closes, day)

    def final_at(self, starts: Moments, interval: timedelta) -> Moments:
        """When the bars that begin at `starts` are final; starts of 1d and 1w are session dates.

        Daily with the session's close, weekly with that of the week's last session, shorter ones
        with the session's close or after their interval, whichever comes first. Where there is no
        session, and for a calendar that is no exchange's, after the interval.
        """
        width = interval // _MICROSECOND
        ends = starts + width
        if not self.is_exchange:
            return ends
        if width >= _DAY_US:
            index = np.searchsorted(self.days, ends // _DAY_US) - 1
            inside = (index >= 0) & (self.days[index] * _DAY_US >= starts)
            return np.where(inside & (ends // _DAY_US <= self.days[-1]), self.closes[index], ends)
        index = np.searchsorted(self.opens, starts, side="right") - 1
        inside = (index >= 0) & (starts < self.closes[index])
        return np.where(inside, np.minimum(ends, self.closes[index]), ends)

    def count_expected_bars(self, first: datetime, end: datetime, interval: timedelta) -> int:
        """How many bars begin at `first` or later and before `end`; days by their UTC midnight."""
        moments = np.array([_microseconds(first), _microseconds(end)])
        begun = self._begun_before(moments, interval // _MICROSECOND)
        return max(int(begun[1] - begun[0]), 0)

    def bars_missing(self, starts: Moments, interval: timedelta) -> Ints:
        """How many bars are expected between each bar and the next; one fewer than `starts`.

        By the time of trading, so on whatever grid within the session the bars stand.
        """
        width = interval // _MICROSECOND
        if width >= _WEEK_US:
            missing: Ints = (np.diff(starts) + _WEEK_US // 2) // width - 1
        else:
            begun = self._begun_before(starts, width)[1:]
            missing = begun - self._begun_before(starts + width, width)[:-1]
        return missing.clip(min=0)

    def outside_share(self, starts: Moments) -> float:
        """How many of the bars that begin at `starts` do so outside of an exchange's sessions."""
        if not (self.is_exchange and len(starts)):
            return 0.0
        opens, closes = self.spells
        spell = np.searchsorted(opens, starts, side="right") - 1
        return 1.0 - float(((spell >= 0) & (starts < closes[spell])).mean())

    def bars_missed(self, last_start: datetime, moment: datetime, interval: timedelta) -> int:
        """How many bars after the one that begins at `last_start` are final at `moment`."""
        return int(self.bars_elapsed(last_start, moment, interval))

    def bars_elapsed(self, last_start: datetime, moment: datetime, interval: timedelta) -> float:
        """As `bars_missed`, with the part of the bar that is not final yet."""
        width, start = interval // _MICROSECOND, _microseconds(last_start)
        now = _microseconds(moment)
        if width >= _WEEK_US:
            return max((now - start) / width - 1.0, 0.0)
        by_day = width >= _DAY_US
        starts, ends = (self.opens, self.closes) if by_day else self.spells
        over = int(np.searchsorted(ends, now, side="right"))
        elapsed = float(over if by_day else _bars_before_spells(self, width)[over])
        if over < len(ends):
            whole = int(ends[over] - starts[over]) if by_day else width
            elapsed += max(now - int(starts[over]), 0) / whole
        return max(elapsed - self._begun_by_end_of(start, width), 0.0)

    def elapsed_at(self, last_start: datetime, bars: int, interval: timedelta) -> datetime | None:
        """When `bars_elapsed` reaches `bars` (1 or more); None where the calendar ends before."""
        width, start = interval // _MICROSECOND, _microseconds(last_start)
        if width >= _WEEK_US:
            return last_start + (bars + 1) * interval
        by_day = width >= _DAY_US
        starts, ends = (self.days, self.closes) if by_day else self.spells
        before = np.arange(len(ends) + 1) if by_day else _bars_before_spells(self, width)
        wanted = self._begun_by_end_of(start, width) + bars
        last = int(np.searchsorted(before, wanted)) - 1
        if last == len(ends):
            return None
        moment = int(ends[last])
        if not by_day:
            moment = min(moment, int(starts[last]) + (wanted - int(before[last])) * width)
        return EPOCH + moment * _MICROSECOND

    def _begun_by_end_of(self, start: int, width: int) -> int:
        """How many of all expected bars begin before the one that begins at `start` ends."""
        ended = (start // width + 1) * width if width >= _DAY_US else start + width
        return int(self._begun_before(np.array([ended]), width)[0])

    def _begun_before(self, moments: Moments, width: int) -> Ints:
        """How many of all expected bars begin before each of `moments`."""
        if width >= _DAY_US:
            return np.searchsorted(self.days, -(-moments // _DAY_US))
        starts, bars = self.spells[0], _bars_before_spells(self, width)
        spell = np.searchsorted(starts, moments)
        within = -(-(moments - starts[spell - 1]) // width)
        return np.where(spell > 0, np.minimum(bars[spell - 1] + within, bars[spell]), 0)

    def _moment(self, moments: Moments, day: date) -> datetime | None:
        index = int(np.searchsorted(self.days, _day(day)))
        if index == len(self.days) or self.days[index] != _day(day):
            return None
        return EPOCH + timedelta(microseconds=int(moments[index]))


@lru_cache(maxsize=64)
def _bars_before_spells(calendar: Calendar, width: int) -> Ints:
    """How many bars are expected in all spells before the n-th, from none up to all of them."""
    starts, ends = calendar.spells
    return np.append(0, np.cumsum(-(-(ends - starts) // width)))


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // _MICROSECOND


def _day(day: date) -> int:
    return (day - _EPOCH_DATE).days


def _date(day: int) -> date:
    return _EPOCH_DATE + timedelta(days=day)
