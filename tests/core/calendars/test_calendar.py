from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from mlengine.core.calendars.calendar import Calendar
from mlengine.core.calendars.hours import CALENDAR_NAMES
from mlengine.core.calendars.named import calendar

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def microseconds(*texts: str) -> np.ndarray:
    return np.array([int(utc(text).timestamp() * 1e6) for text in texts])


def moments(starts: np.ndarray) -> list[str]:
    return [f"{datetime.fromtimestamp(us / 1e6, UTC):%Y-%m-%d %H:%M}" for us in starts.tolist()]


def test_a_name_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"'XXXX'; there are 24/7, 24/5, weekdays, sunday-thursday, XAMS, .*XWAR$"
    ):
        calendar("XXXX")


@pytest.mark.parametrize("name", CALENDAR_NAMES)
def test_no_two_spells_of_trading_overlap(name: str) -> None:
    starts, ends = calendar(name).spells
    assert (starts < ends).all()
    assert (starts[1:] >= ends[:-1]).all()


def test_sessions_include_both_dates_and_no_holiday() -> None:
    thanksgiving = calendar("XNYS").sessions(date(2026, 11, 25), date(2026, 11, 30))
    assert thanksgiving == [date(2026, 11, 25), date(2026, 11, 27), date(2026, 11, 30)]


@pytest.mark.parametrize(
    ("name", "day", "closes"),
    [
        ("XNYS", "2026-11-27", "18:00"),
        ("XTKS", "2024-11-01", "06:00"),
        ("XTKS", "2024-11-05", "06:30"),
        ("XHKG", "2026-12-24", "04:00"),
        ("XLON", "2026-06-30", "15:30"),
        ("XKRX", "2023-11-16", "07:30"),
    ],
)
def test_a_session_closes_by_local_time(name: str, day: str, closes: str) -> None:
    assert calendar(name).session_close(date.fromisoformat(day)) == utc(f"{day} {closes}")


@pytest.mark.parametrize("day", ["2026-11-26", "2026-11-28", "1989-12-29", "2041-01-02"])
def test_without_a_session_there_is_no_close(day: str) -> None:
    assert calendar("XNYS").session_close(date.fromisoformat(day)) is None


def test_a_daily_bar_is_final_with_its_session() -> None:
    days = microseconds("1980-01-02", "2026-11-25", "2026-11-26", "2026-11-27", "2050-01-03")
    assert moments(calendar("XNYS").final_at(days, DAY)) == [
        "1980-01-03 00:00",  # before the calendar begins
        "2026-11-25 21:00",
        "2026-11-27 00:00",  # no session
        "2026-11-27 18:00",
        "2050-01-04 00:00",
    ]


def test_a_weekly_bar_is_final_with_the_last_session_of_its_week() -> None:
    weeks = microseconds("2026-11-22", "2026-03-30", "2026-11-23")
    closes = ["2026-11-27 18:00", "2026-04-02 20:00", "2026-11-27 18:00"]
    assert moments(calendar("XNYS").final_at(weeks, WEEK)) == closes


def test_an_hourly_bar_is_final_with_the_session_at_the_latest() -> None:
    starts = microseconds("2026-11-25 15:30", "2026-11-25 20:30", "2026-11-25 21:30")
    ends = ["2026-11-25 16:30", "2026-11-25 21:00", "2026-11-25 22:30"]
    assert moments(calendar("XNYS").final_at(starts, HOUR)) == ends


def test_around_the_clock_a_bar_is_final_after_its_interval() -> None:
    starts = microseconds("2026-11-27 21:00", "2026-11-28 12:00")
    for name in ("24/7", "24/5", "weekdays", "sunday-thursday"):
        ends = calendar(name).final_at(starts, timedelta(hours=4))
        assert moments(ends) == ["2026-11-28 01:00", "2026-11-28 16:00"]


@pytest.mark.parametrize(
    ("name", "first", "end", "interval", "bars"),
    [
        ("XNYS", "2026-11-23", "2026-11-30", HOUR, 7 + 7 + 7 + 4),
        ("XNYS", "2026-11-23", "2026-11-30", DAY, 4),
        ("XTKS", "2026-11-26", "2026-11-27", HOUR, 3 + 3),
        ("XTKS", "2026-11-26 03:00", "2026-11-26 04:00", timedelta(minutes=1), 30),
        ("24/5", "2026-11-22", "2026-11-29", HOUR, 120),
        ("24/7", "2026-11-22", "2026-11-29", HOUR, 168),
        ("24/7", "2026-11-29", "2026-11-22", HOUR, 0),
        ("weekdays", "2026-11-22", "2026-11-29", timedelta(minutes=5), 5 * 288),
    ],
)
def test_expected_bars_are_those_of_the_time_of_trading(
    name: str, first: str, end: str, interval: timedelta, bars: int
) -> None:
    assert calendar(name).count_expected_bars(utc(first), utc(end), interval) == bars


def test_bars_are_missing_only_where_there_was_trading() -> None:
    starts = microseconds(
        "2026-11-25 20:30", "2026-11-27 14:30", "2026-11-27 15:30", "2026-11-30 14:30"
    )
    assert calendar("XNYS").bars_missing(starts, HOUR).tolist() == [0, 0, 2]
    days = microseconds("2026-11-20", "2026-11-24", "2026-11-25", "2026-11-27")
    assert calendar("XNYS").bars_missing(days, DAY).tolist() == [1, 0, 0]
    sundays_and_a_monday = microseconds("2026-11-01", "2026-11-08", "2026-11-16", "2026-11-30")
    assert calendar("XNYS").bars_missing(sundays_and_a_monday, WEEK).tolist() == [0, 0, 1]


@pytest.mark.parametrize("interval", [timedelta(minutes=1), HOUR, timedelta(hours=4)])
@pytest.mark.parametrize("name", ["XNYS", "XTKS", "24/5", "weekdays"])
def test_a_bar_that_ended_last_is_the_last_that_is_missed(name: str, interval: timedelta) -> None:
    """Walked minute by minute or hour by hour over three days and their nights."""
    market, start = calendar(name), utc("2026-11-24 00:00")
    expected = starts_between(market, start, start + 3 * DAY, interval)
    finals = market.final_at(expected, interval)
    if not market.is_exchange:
        finals = np.minimum(finals, closes_after(market, expected))
    last = datetime.fromtimestamp(expected[0] / 1e6, UTC)
    for hours in range(72):
        now = start + hours * HOUR
        due = int((finals <= now.timestamp() * 1e6).sum()) - 1
        assert abs(market.bars_missed(last, now, interval) - max(due, 0)) <= 1


def starts_between(
    market: Calendar, first: datetime, end: datetime, interval: timedelta
) -> np.ndarray:
    width = int(interval.total_seconds() * 1e6)
    grids = [np.arange(a, b, width) for a, b in zip(*market.spells, strict=True)]
    starts = np.concatenate(grids)
    return starts[(starts >= first.timestamp() * 1e6) & (starts < end.timestamp() * 1e6)]


def closes_after(market: Calendar, starts: np.ndarray) -> np.ndarray:
    return market.spells[1][np.searchsorted(market.spells[1], starts, side="right")]


def test_bars_are_missed_as_sessions_pass() -> None:
    new_york, wednesday = calendar("XNYS"), utc("2026-11-25")
    missed = [
        new_york.bars_missed(wednesday, utc(moment), DAY)
        for moment in ("2026-11-25 21:00", "2026-11-27 17:59", "2026-11-27 18:00", "2026-12-01")
    ]
    assert missed == [0, 0, 1, 2]
    always, last = calendar("24/7"), utc("2026-11-27 22:00")
    hours = [always.bars_missed(last, utc(f"2026-11-28 {h}"), HOUR) for h in ("00:59", "02:00")]
    assert hours == [1, 3]
    assert always.bars_missed(utc("2026-11-01"), utc("2026-11-29"), WEEK) == 3


@pytest.mark.parametrize("name", ["24/7", "24/5", "weekdays", "XNYS", "XTKS", "XHKG"])
@pytest.mark.parametrize("interval", [HOUR / 60, HOUR / 4, HOUR, 4 * HOUR, DAY, WEEK])
def test_so_many_bars_have_elapsed_from_that_second_on(name: str, interval: timedelta) -> None:
    market, second = calendar(name), timedelta(seconds=1)
    random = np.random.default_rng(3)
    for minutes, bars in zip(
        random.integers(0, 10**6, 60), random.integers(1, 400, 60), strict=True
    ):
        start = utc("2024-01-01") + timedelta(minutes=int(minutes))
        reached = market.elapsed_at(start, int(bars), interval)
        assert reached is not None
        assert market.bars_elapsed(start, reached, interval) >= bars
        assert market.bars_elapsed(start, reached - second, interval) < bars


def test_more_bars_than_a_calendar_has_never_elapse() -> None:
    market = calendar("XNYS")
    assert market.elapsed_at(utc(f"{market.last}"), 3, DAY) is None
