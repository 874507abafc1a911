"""Calendars by name: exchanges by their MIC, and trading around the clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np

from mlengine.core.arrays import Ints, Moments
from mlengine.core.calendars.calendar import Calendar
from mlengine.core.calendars.hours import (
    ALWAYS,
    CALENDAR_NAMES,
    EXCHANGES,
    FOREIGN_EXCHANGE,
    SUNDAY_TO_THURSDAY,
    WEEKDAYS,
    Exchange,
)
from mlengine.core.timestamps import EPOCH

_LAST_YEAR = 2040
_DAY, _MICROSECOND = timedelta(days=1), timedelta(microseconds=1)
_SATURDAY = 5
_UTC = ZoneInfo("UTC")
# The week of foreign exchange is from Sunday to Friday at five in New York.
_NEW_YORK, _FIVE = ZoneInfo("America/New_York"), time(17)
_CHRISTMAS_AND_NEW_YEAR = {(12, 25), (1, 1)}


@cache
def calendar(name: str) -> Calendar:
    """The calendar of a MIC, or one of no exchange; ValueError lists what there is."""
    if name in EXCHANGES:
        return _exchange_calendar(name, EXCHANGES[name])
    every_day = np.arange(_day_number(date(_LAST_YEAR + 1, 1, 1)))
    weekdays = every_day[(every_day + 3) % 7 < _SATURDAY]  # 1970 began on a Thursday
    if name == ALWAYS:
        return _open_calendar(name, every_day)
    if name == WEEKDAYS:
        return _open_calendar(name, weekdays)
    if name == SUNDAY_TO_THURSDAY:
        return _open_calendar(name, every_day[(every_day + 4) % 7 < _SATURDAY])
    if name == FOREIGN_EXCHANGE:
        dates = [EPOCH.date() + day * _DAY for day in weekdays.tolist()]
        days = [day for day in dates if (day.month, day.day) not in _CHRISTMAS_AND_NEW_YEAR]
        starts = _moments([day - _DAY for day in days], [_FIVE] * len(days), _NEW_YORK)
        ends = _moments(days, [_FIVE] * len(days), _NEW_YORK)
        return _open_calendar(name, _day_numbers(days), spells=(starts, ends))
    raise ValueError(f"no calendar is named {name!r}; there are {', '.join(CALENDAR_NAMES)}")


def _open_calendar(
    name: str, days: Ints, *, spells: tuple[Moments, Moments] | None = None
) -> Calendar:
    """One of no exchange: its sessions are days by UTC, and its bars end with their interval."""
    opens = days * (_DAY // _MICROSECOND)
    closes = opens + _DAY // _MICROSECOND
    return Calendar(name, _UTC, False, days, opens, closes, spells or (opens, closes))


def _exchange_calendar(name: str, exchange: Exchange) -> Calendar:
    zone, sessions = ZoneInfo(exchange.timezone), _sessions(name, exchange)
    half_days, special = _half_days(name, exchange, sessions), dict(exchange.special_closes)
    hours = [next(each for each in exchange.hours if day <= each.until) for day in sessions]
    opening = [each.opens for each in hours]
    closing = [
        (each.half_day if day in half_days else None) or special.get(day, each.closes)
        for day, each in zip(sessions, hours, strict=True)
    ]
    opens, closes = _moments(sessions, opening, zone), _moments(sessions, closing, zone)
    lunches = [
        (day, each.lunch)
        for day, each, close in zip(sessions, hours, closing, strict=True)
        if each.lunch and each.lunch[1] < close
    ]
    days = [day for day, _ in lunches]
    breaks_begin = _moments(days, [begin for _, (begin, _) in lunches], zone)
    breaks_end = _moments(days, [end for _, (_, end) in lunches], zone)
    spells = (np.sort(np.append(opens, breaks_end)), np.sort(np.append(closes, breaks_begin)))
    return Calendar(name, zone, True, _day_numbers(sessions), opens, closes, spells)


def _sessions(name: str, exchange: Exchange) -> list[date]:
    years = range(exchange.since, _LAST_YEAR + 1)
    closed = _holidays(exchange.holidays_of or name, years, "public")
    closed |= {date(year, *day) for year in years for day in exchange.yearly_closures}
    closed |= set(exchange.closures)
    first, end = date(exchange.since, 1, 1).toordinal(), date(_LAST_YEAR + 1, 1, 1).toordinal()
    every_day = (date.fromordinal(day) for day in range(first, end))
    weekdays = {day for day in every_day if day.weekday() < _SATURDAY}
    return sorted((weekdays - closed) | set(exchange.sessions))


def _half_days(name: str, exchange: Exchange, sessions: Sequence[date]) -> set[date]:
    years = range(exchange.since, _LAST_YEAR + 1)
    half_days = {date(year, *day) for year in years for day in exchange.yearly_half_days}
    half_days |= set(exchange.half_days)
    if exchange.last_session_is_half:
        half_days |= set({day.year: day for day in sessions}.values())
    return half_days | _holidays(exchange.holidays_of or name, years, "half_day")


def _holidays(code: str, years: range, category: str) -> set[date]:
    from holidays import financial_holidays  # noqa: PLC0415 - 80 ms, for named exchanges only

    if category not in financial_holidays(code).supported_categories:
        return set()
    return set(financial_holidays(code, years=years, categories=(category,)))


def _moments(days: Sequence[date], times: Sequence[time], zone: ZoneInfo) -> Moments:
    """The local times of these days, in microseconds UTC."""
    local = [datetime.combine(day, at, zone) for day, at in zip(days, times, strict=True)]
    return np.array([(moment - EPOCH) // _MICROSECOND for moment in local], dtype=np.int64)


def _day_numbers(days: Sequence[date]) -> Ints:
    return np.array([_day_number(day) for day in days], dtype=np.int64)


def _day_number(day: date) -> int:
    return (day - EPOCH.date()).days
