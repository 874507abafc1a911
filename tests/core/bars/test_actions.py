from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from tests.factories import START, random_bars

from mlengine.core.actions.actions import ActionRevision
from mlengine.core.actions.adjustment import adjust
from mlengine.core.actions.kinds import ADJUSTMENTS, DIVIDEND, SPLIT
from mlengine.core.bars.bars import BarArrays

BARS = BarArrays.of(random_bars(rows=10))
DAY = timedelta(days=1)
LATER = START + 100 * DAY


def action(
    day: int, kind: str = SPLIT, value: float = 4.0, known_at: datetime = START
) -> ActionRevision:
    return ActionRevision("AAA", (START + day * DAY).date(), kind, value, known_at)


def test_prices_before_a_split_are_divided_and_volumes_multiplied() -> None:
    adjusted = adjust(BARS, [action(6)], kinds=ADJUSTMENTS["splits"], at=LATER)
    assert np.array_equal(adjusted.values[:4, :6], BARS.values[:4, :6] * 0.25)
    assert np.array_equal(adjusted.values[4, :6], BARS.values[4, :6] * 4.0)
    assert np.array_equal(adjusted.values[:, 6:], BARS.values[:, 6:])
    assert adjusted.starts is BARS.starts
    assert adjusted.known_at is BARS.known_at


def test_a_dividend_lowers_earlier_prices_by_its_share_of_the_close_before() -> None:
    close = BARS.values[3, 5]
    paid = action(6, DIVIDEND, close / 10)
    adjusted = adjust(BARS, [paid], kinds=ADJUSTMENTS["all"], at=LATER)
    assert adjusted.values[3, :6] == pytest.approx(BARS.values[3, :6] * 0.9)
    assert np.array_equal(adjusted.values[4], BARS.values[4])
    assert adjust(BARS, [paid], kinds=ADJUSTMENTS["splits"], at=LATER) is BARS


def test_what_was_not_known_then_changes_nothing() -> None:
    announced = action(6, known_at=START + 8 * DAY)
    assert adjust(BARS, [announced], kinds=[SPLIT], at=START + 7 * DAY) is BARS
    assert adjust(BARS, [announced], kinds=[SPLIT], at=START + 8 * DAY) is not BARS


@pytest.mark.parametrize("day", [-3, 0, 10, 400])
def test_an_action_without_bars_on_both_sides_changes_nothing(day: int) -> None:
    assert adjust(BARS, [action(day)], kinds=[SPLIT], at=LATER) is BARS


def test_several_actions_multiply_in_whatever_order_they_come() -> None:
    several = [action(3, value=2.0), action(7, value=0.1), action(5, DIVIDEND, 1.5)]
    forwards = adjust(BARS, several, kinds=ADJUSTMENTS["all"], at=LATER)
    backwards = adjust(BARS, several[::-1], kinds=ADJUSTMENTS["all"], at=LATER)
    assert forwards.bars_hash == backwards.bars_hash
    assert forwards.values[4, :3] == pytest.approx(BARS.values[4, :3] * 0.2)


def test_a_dividend_of_the_whole_price_is_left_out() -> None:
    huge = action(6, DIVIDEND, 1e9)
    assert adjust(BARS, [huge], kinds=ADJUSTMENTS["all"], at=LATER) is BARS


def test_a_prefix_is_adjusted_as_it_was_then() -> None:
    """Bars up to a day, adjusted by what was known then, don't depend on what came later."""
    actions = [action(4), action(8, known_at=START + 8 * DAY)]
    then = adjust(BARS.slice(0, 6), actions, kinds=[SPLIT], at=START + 6 * DAY)
    assert then.values[0, 0] == BARS.values[0, 0] / 4.0


def test_an_intraday_bar_is_before_an_ex_date_by_the_clock_of_its_market() -> None:
    """Sydney opens at 23:00 UTC of the day before."""
    hours = BarArrays.of(random_bars(rows=48, interval="1h"))
    ex_date = action(1)
    utc = adjust(hours, [ex_date], kinds=[SPLIT], at=LATER, interval="1h")
    assert np.count_nonzero(utc.values[0] != hours.values[0]) == 24
    sydney = ZoneInfo("Australia/Sydney")
    local = adjust(hours, [ex_date], kinds=[SPLIT], at=LATER, interval="1h", timezone=sydney)
    assert np.count_nonzero(local.values[0] != hours.values[0]) == 24 - 11


def test_a_week_with_an_ex_date_in_it_counts_by_its_close() -> None:
    weeks = BarArrays.of(random_bars(rows=10, interval="1w"))
    for day, before in ((14, 2), (15, 2), (20, 2), (21, 3)):
        adjusted = adjust(weeks, [action(day)], kinds=[SPLIT], at=LATER, interval="1w")
        assert np.count_nonzero(adjusted.values[0] != weeks.values[0]) == before, day


def test_the_newest_revision_counts_and_one_that_was_taken_back_does_not() -> None:
    wrong, right = action(6, value=40.0), action(6, known_at=START + 8 * DAY)
    gone = action(6, value=float("nan"), known_at=START + 9 * DAY)
    at = [START + day * DAY for day in (7, 8, 9)]
    revisions = [gone, wrong, right]
    values = [adjust(BARS, revisions, kinds=[SPLIT], at=each).values[0, 0] for each in at]
    assert values == pytest.approx([BARS.values[0, 0] / ratio for ratio in (40.0, 4.0, 1.0)])
