from __future__ import annotations

from datetime import timedelta

from mlengine.core.hooks.retry_schedule import MOST_ATTEMPTS, pause_after


def test_ten_attempts_go_over_three_days():
    pauses = [pause_after(made, jitter=0.0) for made in range(1, MOST_ATTEMPTS)]
    assert timedelta(days=3) <= sum(filter(None, pauses), timedelta()) <= timedelta(days=3.5)
    assert pauses == sorted(filter(None, pauses))
    assert pause_after(MOST_ATTEMPTS, jitter=0.0) is None


def test_pauses_are_spread():
    assert pause_after(1, jitter=1.0) == timedelta(seconds=5.5)
