"""A line that is passed seldom while nothing declines, and soon when something does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.skill.decline import (
    AIMED,
    HORIZON_DATES,
    RISE,
    START,
    DeclineTest,
    decline_test,
    level_reached,
    passing_chance,
)
from mlengine.core.monitoring.skill.trained_gains import OldValues, block_mean

TEST = DeclineTest(mean=0.1, deviation=1.2, dates=1470, reach=6.0)


def of(values: Floats, steps_ahead: int = 1) -> DeclineTest:
    found = block_mean(values, steps_ahead)
    assert found is not None
    test = decline_test([OldValues(values, found)])
    assert test is not None
    return test


def test_the_line_is_passed_with_the_chance_that_is_aimed_at() -> None:
    assert passing_chance(START, RISE, 1.0) == pytest.approx(AIMED, abs=1e-12)
    assert TEST.chance(0.0, 0) == pytest.approx(AIMED, abs=1e-12)


def test_a_level_line_is_passed_twice_as_often_as_it_is_ended_above() -> None:
    assert passing_chance(1.5, 0.0, 0.49) == pytest.approx(2.0 * ndtr(-1.5 / 0.7))


def test_the_chance_is_that_of_a_drawn_walk() -> None:
    steps = np.random.default_rng(1).normal(0.0, math.sqrt(1.0 / 600), (2000, 600))
    time = np.arange(1, 601) / 600
    passed = (np.cumsum(steps, axis=1) >= 1.0 + 0.5 * time).any(axis=1).mean()
    assert passing_chance(1.0, 0.5, 1.0) == pytest.approx(passed, abs=0.025)


def test_what_stands_on_the_line_has_passed_it_and_what_has_no_time_does_not() -> None:
    assert passing_chance(0.0, 0.5, 0.3) == passing_chance(-0.1, 0.5, 0.0) == 1.0
    assert passing_chance(0.1, 0.5, 0.0) == 0.0
    last = float(TEST.heights(np.array(float(HORIZON_DATES))))
    assert TEST.chance(1.001 * last, HORIZON_DATES) == 1.0
    assert TEST.chance(0.999 * last, HORIZON_DATES) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("count", "share"), [(0, 0.0), (100, 0.5), (600, -0.4), (1000, 0.8)])
def test_a_date_without_decline_leaves_the_chance_as_it_is_on_average(
    count: int, share: float
) -> None:
    """The error of the old mean included: what fell short so far is expected to go on a little."""
    shortfall = share * float(TEST.heights(np.array(float(count))))
    grown = shortfall * (1.0 + 1.0 / (count + TEST.dates))
    spread = TEST.deviation * math.sqrt(1.0 + 1.0 / (count + TEST.dates))
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    after = [TEST.chance(grown + spread * point, count + 1) for point in points]
    expected = np.average(after, weights=weights)
    assert expected == pytest.approx(TEST.chance(shortfall, count), rel=0.03)


def test_the_line_lies_where_its_deviation_at_the_end_says() -> None:
    """One look at the end: the mean of new dates less the old one, in standard errors."""
    error = TEST.deviation * math.sqrt(1.0 / HORIZON_DATES + 1.0 / TEST.dates)
    last = float(TEST.heights(np.array(float(HORIZON_DATES))))
    assert last / HORIZON_DATES / error == pytest.approx(START + RISE)


def slow(rng: np.random.Generator, dates: int) -> Floats:
    """Sums of five steps each, as overlapping labels are."""
    return np.asarray(np.convolve(rng.normal(0.0, 1.0, dates + 4), np.ones(5), "valid"))


@pytest.mark.parametrize("old_dates", [250, 1470])
@pytest.mark.parametrize("steps", [1, 5])
def test_what_does_not_decline_is_seldom_said_to_in_five_years(old_dates: int, steps: int) -> None:
    rng, passed = np.random.default_rng(steps), 0
    for _ in range(400):
        values = 3.0 + (slow(rng, 3000) if steps == 5 else rng.standard_t(4, 3000))
        old, new = values[:old_dates], values[old_dates : old_dates + HORIZON_DATES]
        passed += of(old, steps).first_passed(new) is not None
    assert 0.005 * 400 <= passed <= 0.05 * 400


def test_a_decline_is_found_nearly_as_often_as_by_one_look_at_the_end() -> None:
    """A fall by 2.8 standard errors, which one look at 5 % finds in 88 of 100 cases."""
    rng = np.random.default_rng(3)
    fall = 2.8 * math.sqrt(1.0 / 1470 + 1.0 / HORIZON_DATES)
    found = sum(
        of(rng.normal(fall, 1.0, 1470)).first_passed(rng.normal(0.0, 1.0, HORIZON_DATES))
        is not None
        for _ in range(300)
    )
    assert found >= 0.70 * 300


def test_after_five_years_the_line_begins_anew() -> None:
    test = of(np.random.default_rng(5).normal(0.5, 1.0, 1470))
    first, last = np.full(HORIZON_DATES, test.mean + 0.1), np.full(300, -0.5)
    alone = test.first_passed(last)
    assert alone is not None
    assert test.first_passed(np.concatenate([first, last])) == HORIZON_DATES + alone
    assert test.first_passed(first) is None


def test_a_value_beyond_six_deviations_counts_as_if_it_lay_there() -> None:
    test = of(np.random.default_rng(5).normal(0.5, 1.0, 1470))
    huge, large = test.shortfalls(np.array([-1e9, -6.5]))
    assert huge == large == test.mean + test.reach


def test_it_says_about_how_many_dates_are_missing() -> None:
    rng = np.random.default_rng(6)
    needed, taken = [], []
    for _ in range(100):
        test = of(rng.normal(0.2, 1.0, 1470))
        needed.append(test.dates_needed(0.0, 0, a_date=0.2) or math.inf)
        taken.append(test.first_passed(rng.normal(0.0, 1.0, HORIZON_DATES)) or math.inf)
    assert 0.85 * np.median(taken) <= np.median(needed) <= 1.15 * np.median(taken)


def test_dates_to_come_count_from_where_the_shortfall_stands() -> None:
    at_first = TEST.dates_needed(0.0, 0, a_date=0.3)
    assert at_first is not None
    nearer = TEST.dates_needed(30.0, 100, a_date=0.3)
    assert nearer is not None
    assert 100 < nearer + 100 == pytest.approx(at_first, abs=2)
    assert TEST.dates_needed(1e6, 100, a_date=0.0) == 0
    # So late nothing is found before the line begins anew.
    assert TEST.dates_needed(0.0, HORIZON_DATES - 10, a_date=0.3) == 10 + at_first
    assert TEST.dates_needed(0.0, 0, a_date=0.0) is None
    assert TEST.dates_needed(0.0, 0, a_date=0.06) is None


def test_the_level_reached_is_one_at_first_and_what_is_aimed_at_on_the_line() -> None:
    assert level_reached(-1.0) == level_reached(0.0) == 1.0
    assert level_reached(1.0) == pytest.approx(AIMED, abs=1e-12)
    reached = [level_reached(share) for share in (0.2, 0.5, 0.9, 1.3)]
    assert reached == sorted(reached, reverse=True)


def test_the_sample_whose_mean_is_known_best_is_taken() -> None:
    rng = np.random.default_rng(9)
    wild, quiet = rng.normal(-0.1, 4.0, 900), rng.normal(0.1, 1.0, 490)
    samples = []
    for values in (np.concatenate([wild, quiet]), quiet):
        found = block_mean(values, 1)
        assert found is not None
        samples.append(OldValues(values, found))
    test = decline_test(samples)
    assert test is not None
    assert test.dates == 490
    assert test.mean == pytest.approx(quiet.mean())
