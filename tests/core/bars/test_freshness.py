from datetime import UTC, datetime, timedelta

import pytest

from mlengine.core.bars.freshness import cache_expiry

DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
BAR = datetime(2024, 5, 30, tzinfo=UTC)
FINAL = BAR + DAY


def seconds(fetched_at, *, last_bar=BAR, interval="1d", shortest=5.0, longest=60.0) -> float:
    until = cache_expiry(
        last_bar,
        interval=interval,
        fetched_at=fetched_at,
        min_seconds=shortest,
        max_seconds=longest,
    )
    return (until - fetched_at).total_seconds()


@pytest.mark.parametrize(
    ("since_final", "expected"),
    [
        (timedelta(), 60),  # nothing newer can be final for a day
        (12 * HOUR, 60),
        (DAY - SECOND, 1),  # up to the moment at which the next bar may be final
        (DAY, 5),  # due: as often as is allowed
        (DAY + 100 * SECOND, 5),
        (DAY + 400 * SECOND, 20),  # a twentieth of what it is late
        (DAY + 2 * HOUR, 60),
        (2 * DAY - 3 * SECOND, 3),
        (2 * DAY + SECOND, 5),  # the day after may bring a bar, too
        (4000 * DAY + 13 * HOUR, 60),
        (-HOUR, 5),  # final before its time: the next may be, too
    ],
)
def test_bars_are_good_until_another_may_be_final(since_final, expected):
    assert seconds(FINAL + since_final) == expected


def test_short_bars_are_asked_for_when_they_are_due():
    bar = datetime(2024, 5, 30, 12, 0, tzinfo=UTC)
    assert seconds(bar + 61 * SECOND, last_bar=bar, interval="1m") == 59
    assert seconds(bar + 121 * SECOND, last_bar=bar, interval="1m") == 5


def test_without_keeping_or_without_bars():
    assert seconds(FINAL, shortest=0.0) == 0
    assert seconds(FINAL, last_bar=None) == 5
    assert seconds(FINAL, longest=0.0) == 5
