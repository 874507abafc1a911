from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from mlengine.core.calendars.calendar import Calendar
from mlengine.core.calendars.inference import infer_calendar
from mlengine.core.calendars.named import calendar

MINUTE, HOUR, DAY, WEEK = (
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
    timedelta(weeks=1),
)
SATURDAY = datetime(2026, 11, 28, tzinfo=UTC)


def grid(first: datetime, end: datetime, interval: timedelta) -> np.ndarray:
    width = int(interval.total_seconds()) * 1_000_000
    return np.arange(int(first.timestamp()) * 1_000_000, int(end.timestamp()) * 1_000_000, width)


def of_calendar(name: str, first: datetime, end: datetime, interval: timedelta) -> np.ndarray:
    """The starts of a market's bars; whole days and weeks by session date."""
    market: Calendar = calendar(name)
    if interval >= DAY:
        days = market.days[:: 5 if interval == WEEK else 1] * 86_400_000_000
    else:
        width = int(interval.total_seconds()) * 1_000_000
        days = np.concatenate([np.arange(a, b, width) for a, b in zip(*market.spells, strict=True)])
    low, high = first.timestamp() * 1e6, end.timestamp() * 1e6
    return days[(days >= low) & (days < high)]


@pytest.mark.parametrize("interval", [MINUTE, 5 * MINUTE, HOUR, 4 * HOUR, DAY])
@pytest.mark.parametrize("days", [10, 28, 120])
def test_bars_at_weekends_are_of_a_market_that_never_sleeps(interval: timedelta, days: int) -> None:
    friday_night = SATURDAY - HOUR
    starts = grid(friday_night - days * DAY, friday_night, interval)
    assert infer_calendar(starts, interval).name == "24/7"


@pytest.mark.parametrize(
    ("name", "suggested"),
    [("24/5", "24/5"), ("XNYS", "weekdays"), ("XTKS", "weekdays"), ("XASX", "weekdays")],
)
@pytest.mark.parametrize("interval", [MINUTE, HOUR, 4 * HOUR])
@pytest.mark.parametrize(
    "day", [0, 4, 5, *(pytest.param(day, marks=pytest.mark.soak) for day in (1, 2, 3, 6))]
)
def test_a_market_that_sleeps_is_not_taken_for_one_that_does_not(
    name: str, suggested: str, interval: timedelta, day: int
) -> None:
    end = SATURDAY + day * DAY
    starts = of_calendar(name, end - 12 * DAY, end, interval)
    assert infer_calendar(starts, interval).name == suggested


@pytest.mark.parametrize(
    ("zone", "hour"), [("UTC", 0), ("Asia/Tokyo", 0), ("America/New_York", 0), ("UTC", 24)]
)
def test_days_of_a_market_on_weekdays_may_be_stamped_in_any_zone(zone: str, hour: int) -> None:
    """Also at the end of the day, as some do: then Friday's bar is Saturday's."""
    first = datetime(2026, 6, 1, tzinfo=ZoneInfo(zone))
    days = [first + n * DAY for n in range(150) if (first + n * DAY).weekday() < 5]
    moments = [(day + hour * HOUR).astimezone(UTC) for day in days]
    starts = np.array([int(moment.timestamp()) * 1_000_000 for moment in moments])
    assert infer_calendar(starts, DAY).name == "weekdays"


@pytest.mark.parametrize("interval", [HOUR, DAY])
def test_a_week_may_begin_on_sunday(interval: timedelta) -> None:
    """As in Riyadh. A session on one Sunday is no such week, nor are days stamped in Tokyo."""
    hours = 8 if interval < DAY else 1
    days = [SATURDAY - n * DAY for n in range(60, 0, -1)]
    week = [day for day in days if day.weekday() not in (4, 5)]
    starts = np.concatenate([grid(day, day + hours * interval, interval) for day in week])
    assert infer_calendar(starts, interval).name == "sunday-thursday"
    odd = [day for day in days if day.weekday() < 4 or day == SATURDAY - 6 * DAY]
    starts = np.concatenate([grid(day, day + hours * interval, interval) for day in odd])
    assert infer_calendar(starts, interval).name == "weekdays"


def test_an_evening_that_goes_on_is_of_a_market_that_never_sleeps() -> None:
    """Two days of minutes, up to the midnight that ends Friday: no weekend is in sight."""
    starts = grid(SATURDAY - 50 * HOUR, SATURDAY, MINUTE)
    assert infer_calendar(starts, MINUTE).name == "24/7"
    until_the_close = starts[starts < int((SATURDAY - 2 * HOUR).timestamp()) * 1_000_000]
    assert infer_calendar(until_the_close, MINUTE).name == "24/5"


def test_few_bars_of_a_weekend_are_of_a_market_that_never_sleeps() -> None:
    """An odd session on a Saturday comes after a night."""
    noon = SATURDAY + 12 * HOUR
    starts = grid(noon, noon + 90 * MINUTE, MINUTE)
    assert infer_calendar(starts, MINUTE).name == "24/7"
    friday = grid(noon - DAY, noon - DAY + 4 * HOUR, MINUTE)
    assert infer_calendar(np.concatenate([friday, starts]), MINUTE).name == "weekdays"
    assert infer_calendar(friday, MINUTE).name == "weekdays"


def test_an_evening_session_of_shares_is_no_round_the_clock() -> None:
    """From 4:00 to 20:00 in New York, which is Saturday by UTC."""
    days = [SATURDAY - n * DAY for n in range(1, 12)]
    hours = [
        grid(day + 9 * HOUR, day + 25 * HOUR, MINUTE) for day in days[::-1] if day.weekday() < 5
    ]
    assert infer_calendar(np.concatenate(hours), MINUTE).name == "weekdays"


def test_a_feed_that_lacks_weekends_now_and_then_never_sleeps() -> None:
    starts = grid(SATURDAY - 28 * DAY, SATURDAY, HOUR)
    week = (starts // 86_400_000_000 + 3) // 7
    assert infer_calendar(starts[week != week[300]], HOUR).name == "24/7"


def test_without_bars_weekdays_are_expected() -> None:
    assert infer_calendar(np.empty(0, np.int64), HOUR).name == "weekdays"
