from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlengine.core.calendars.named import calendar
from mlengine.core.signals.signal import Tick
from mlengine.core.signals.ticks import is_bar_of, newest_tick

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "interval", "now", "tick"),
    [
        # Thanksgiving of 2024 is closed, and the Friday after it a half day.
        ("XNYS", DAY, "2024-11-28 20:00", ("2024-11-27 21:00", "2024-11-27", "2024-11-29 18:00")),
        ("XNYS", DAY, "2024-11-29 17:59", ("2024-11-27 21:00", "2024-11-27", "2024-11-29 18:00")),
        ("XNYS", DAY, "2024-11-29 18:00", ("2024-11-29 18:00", "2024-11-29", "2024-12-02 21:00")),
        ("24/7", DAY, "2024-11-30 05:00", ("2024-11-30", "2024-11-29", "2024-12-01")),
        ("weekdays", DAY, "2024-12-01 05:00", ("2024-11-30", "2024-11-29", "2024-12-03")),
        ("XNYS", 7 * DAY, "2024-11-29 18:00", ("2024-11-25", "2024-11-18", "2024-12-02")),
        ("XNYS", HOUR, "2024-11-27 15:30", ("2024-11-27 15:30", "2024-11-27 14:30", "16:30")),
        ("XNYS", HOUR, "2024-11-27 15:29", ("2024-11-26 21:00", "2024-11-26 20:30", "15:30")),
        ("XNYS", HOUR, "2024-11-27 20:59", ("2024-11-27 20:30", "2024-11-27 19:30", "21:00")),
        ("XNYS", HOUR, "2024-11-27 23:00", ("2024-11-27 21:00", "2024-11-27 20:30", "29 15:30")),
        ("24/7", 4 * HOUR, "2024-11-27 00:00", ("2024-11-27", "2024-11-26 20:00", "04:00")),
        ("24/7", MINUTE, "2024-11-27 09:00:59", ("2024-11-27 09:00", "2024-11-27 08:59", "09:01")),
        # Tokyo has lunch from 02:30 to 03:30.
        ("XTKS", HOUR, "2024-11-27 03:00", ("2024-11-27 02:30", "2024-11-27 02:00", "04:30")),
    ],
)
def test_a_bar_is_final_by_its_calendar(
    name: str, interval: timedelta, now: str, tick: tuple[str, str, str]
) -> None:
    final_at, begun, following = tick
    day = "2024-11-27" if len(following) == 5 else "2024-11-" if len(following) == 8 else ""
    following = f"{day}{' ' if len(following) == 5 else ''}{following}"
    expected = Tick(at(final_at), at(begun), at(following))
    assert newest_tick(calendar(name), interval, now=at(now)) == expected


@pytest.mark.parametrize("interval", [DAY, HOUR])
def test_outside_of_its_time_a_calendar_has_no_bar(interval: timedelta) -> None:
    assert newest_tick(calendar("XNYS"), interval, now=at("1989-06-01")) is None
    assert newest_tick(calendar("XNYS"), interval, now=at("2045-06-01")) is None


@pytest.mark.parametrize(
    ("start", "is_it"),
    [
        ("2024-11-27 14:30", True),
        ("2024-11-27 14:00", True),  # on the grid of another service
        ("2024-11-26 20:30", False),
        ("2024-11-27 15:30", False),
    ],
)
def test_the_bar_of_a_tick_is_the_newest_one_on_whatever_grid(start: str, is_it: bool) -> None:
    exchange = calendar("XNYS")
    tick = newest_tick(exchange, HOUR, now=at("2024-11-27 15:30"))
    assert tick is not None
    assert is_bar_of(tick, at(start), exchange, HOUR) is is_it


def test_yesterdays_bar_is_not_that_of_today() -> None:
    exchange = calendar("XNYS")
    tick = newest_tick(exchange, DAY, now=at("2024-11-29 18:00"))
    assert tick is not None
    assert is_bar_of(tick, at("2024-11-29"), exchange, DAY)
    assert not is_bar_of(tick, at("2024-11-27"), exchange, DAY)
