from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from mlengine.core.runs import cron

MONDAY = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "expression",
    ["0 2 * * 1", "*/15 0-6,22 1 1-3 *", "30 2 * * mon-fri", "0 0 29 2 *", "0 9 * JAN mon#1"],
)
def test_expressions_of_five_fields_are_taken(expression: str) -> None:
    cron.parse_cron(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "bad",
        "@daily",
        "0 2 * *",
        "* * * * * *",
        "60 * * * *",
        "R * * * *",
        "H 2 * * *",
        "0 0 31 2 *",
        "0 0 * foo *",
    ],
)
def test_what_is_no_expression_or_never_fires_is_refused(expression: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - croniter words it
        cron.parse_cron(expression)


def test_the_newest_tick_may_be_this_very_moment() -> None:
    assert cron.newest_tick("0 10 * * *", at=MONDAY) == MONDAY
    before = MONDAY - timedelta(microseconds=1)
    assert cron.newest_tick("0 10 * * *", at=before) == MONDAY - timedelta(days=1)


def test_the_next_ticks_come_after_the_moment_and_in_utc() -> None:
    tokyo = MONDAY.astimezone(timezone(timedelta(hours=9)))
    ticks = cron.next_ticks("0 10 * * 1,3", after=tokyo, count=3)
    assert ticks == tuple(MONDAY + timedelta(days=days) for days in (2, 7, 9))
