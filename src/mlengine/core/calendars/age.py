"""How old a bar is, and whether its feed is late, by the bars that are expected of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from mlengine.core.calendars.expected import MISSED_BARS, BarCadence
from mlengine.core.frozen import frozen_by_types

_DAY = timedelta(days=1)
_SATURDAY = 5
# Without a calendar a long weekend must not read as a dead feed.
_LONGEST_CLOSURE = timedelta(days=4)


@frozen_by_types
@dataclass(frozen=True)
class BarAge:
    """The age at `moment` of a bar that begins at `start`.

    Without a `cadence` bars are expected on weekdays (UTC), and a closure of four days is none too
    long. None is expected once the symbol `ends_at`.
    """

    start: datetime
    interval: timedelta
    moment: datetime
    cadence: BarCadence | None = None
    ends_at: datetime | None = None

    @property
    def is_delisted(self) -> bool:
        """Whether the symbol is no longer traded."""
        return self.ends_at is not None and self.moment > self.ends_at

    @cached_property
    def _until(self) -> datetime:
        return min(self.moment, self.ends_at) if self.ends_at else self.moment

    @cached_property
    def bars(self) -> float:
        """Since it was final, in bars that were expected."""
        if self.cadence:
            return self.cadence.calendar.bars_elapsed(self.start, self._until, self.interval)
        return weekday_duration(self.start + self.interval, self._until) / self.interval

    @property
    def is_stale(self) -> bool:
        """Whether neither the market's closures nor the usual gaps of the series explain it."""
        if not self.exceeds_on_wall_clock(MISSED_BARS):
            return False
        if self.cadence:
            stale_from = self.cadence.stale_from(self.start)
            return stale_from is not None and self._until >= stale_from
        tolerance = max(MISSED_BARS * self.interval, _LONGEST_CLOSURE)
        return self._until - self.start - self.interval > tolerance

    def exceeds(self, bars: int) -> bool:
        """Whether it is older than so many bars."""
        return self.exceeds_on_wall_clock(bars) and self.bars > bars

    def exceeds_on_wall_clock(self, bars: int) -> bool:
        """Whether it is older than so many bars by any calendar; costs next to nothing."""
        return self._until - self.start > bars * self.interval


def weekday_duration(start: datetime, end: datetime) -> timedelta:
    """The time between two moments in UTC that lies on Monday to Friday; negative never."""
    return max(_weekdays_until(end) - _weekdays_until(start), timedelta())


def _weekdays_until(moment: datetime) -> timedelta:
    """Weekday time since the Monday of week 1."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    weeks, day = divmod(moment.toordinal() - 1, 7)  # 0001-01-01 was a Monday
    part = _DAY * _SATURDAY if day >= _SATURDAY else day * _DAY + (moment - midnight)
    return weeks * _SATURDAY * _DAY + part
