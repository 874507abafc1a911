from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mlengine.core.calendars.age import BarAge
from mlengine.core.calendars.expected import BarCadence, usual_longest_gap
from mlengine.core.calendars.named import calendar

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FRIDAY_NIGHT = datetime(2026, 11, 27, 22, tzinfo=UTC)


@pytest.mark.parametrize("interval", [MINUTE, HOUR])
def test_round_the_clock_a_feed_is_stale_with_the_third_bar(interval: timedelta) -> None:
    expected = BarCadence(calendar("24/7"), interval)
    ended = FRIDAY_NIGHT + interval
    moments = [ended + n * interval for n in range(5)]
    stale = [BarAge(FRIDAY_NIGHT, interval, each, expected).is_stale for each in moments]
    assert stale == [False, False, False, True, True]


def test_a_market_that_is_closed_is_not_stale() -> None:
    expected = BarCadence(calendar("XNYS"), MINUTE)
    last = datetime(2026, 11, 27, 17, 59, tzinfo=UTC)
    monday = datetime(2026, 11, 30, 14, 30, tzinfo=UTC)
    ages = [BarAge(last, MINUTE, monday + n * MINUTE, expected) for n in (0, 1.5, 2, 3)]
    assert [age.is_stale for age in ages] == [False, False, False, True]
    assert [age.bars for age in ages] == [0, 1.5, 2, 3]


def test_days_age_by_sessions() -> None:
    expected = BarCadence(calendar("XNYS"), DAY)
    thursday = datetime(2026, 11, 25, tzinfo=UTC)
    noon = datetime(2026, 11, 27, 16, 15, tzinfo=UTC)
    assert BarAge(thursday, DAY, noon, expected).bars == 0.5
    assert BarAge(thursday, DAY, noon + 2 * DAY, expected).bars == 1.0


def test_a_series_that_is_traded_now_and_then_has_its_own_gaps() -> None:
    """A trade every 10 to 40 minutes, and once an outage of two days."""
    random = np.random.default_rng(7)
    minutes = np.cumsum(random.integers(10, 40, 2000))
    minutes[1000:] += 2 * 24 * 60
    starts = 1_790_000_000_000_000 // 60_000_000 * 60_000_000 + minutes * 60_000_000
    gap = usual_longest_gap(starts, calendar("24/7"), MINUTE)
    assert 35 <= gap <= 39
    expected = BarCadence(calendar("24/7"), MINUTE, gap)
    last = datetime.fromtimestamp(starts[-1] / 1e6, UTC)
    assert not BarAge(last, MINUTE, last + 60 * MINUTE, expected).is_stale
    assert BarAge(last, MINUTE, last + 90 * MINUTE, expected).is_stale


@pytest.mark.parametrize("rows", [0, 1, 2, 50])
def test_whole_series_have_no_gap(rows: int) -> None:
    starts = np.arange(rows) * 3_600_000_000
    assert usual_longest_gap(starts, calendar("24/7"), HOUR) == 0
