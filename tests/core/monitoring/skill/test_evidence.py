"""What is said after each date, and that it is the same whether kept or computed again."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.skill.betting import e_values, interleave
from mlengine.core.monitoring.skill.evidence import (
    SkillState,
    SkillTerms,
    add_date,
    dates_needed,
    skill_evidence,
    skill_terms,
    start_evidence,
)


def gains(dates: int, mean: float, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(mean, 0.02, dates)


def terms(steps: int = 1) -> SkillTerms:
    found = skill_terms(gains(500, 0.006), steps_ahead=steps)
    assert found is not None
    return found


def after(values: Floats, told: SkillTerms) -> SkillState:
    state = start_evidence(told)
    for value in values:
        state = add_date(state, float(value), told)
    return state


def test_the_interval_of_the_holdout_is_students_over_blocks() -> None:
    found = terms()
    assert found.lower < 0.006 < found.upper
    assert found.mean == pytest.approx((found.lower + found.upper) / 2.0)
    assert found.deviation == pytest.approx(0.02, rel=0.1)
    covered = [
        each.lower <= 0.006 <= each.upper
        for seed in range(400)
        if (each := skill_terms(gains(500, 0.006, seed), steps_ahead=5))
    ]
    assert 0.92 <= np.mean(covered) <= 0.98


@pytest.mark.parametrize("holdout", [[], [0.1], [0.1] * 500, [0.1, 0.2] * 40, [math.inf] * 200])
def test_a_holdout_that_says_little_has_no_terms(holdout: list[float]) -> None:
    with np.errstate(invalid="ignore"):
        assert skill_terms(np.array(holdout), steps_ahead=1) is None


@pytest.mark.parametrize("steps", [1, 3])
def test_dates_one_by_one_give_what_all_of_them_at_once_give(steps: int) -> None:
    told, live = terms(steps), gains(200, 0.0, seed=2)
    found = skill_evidence(after(live, told), told)
    for bet, value in zip(told.bets, (found.lost_e_value, found.proven_e_value), strict=True):
        at_once = e_values(interleave(bet.log_growth(live), steps_ahead=steps))[-1]
        assert value == pytest.approx(at_once, rel=1e-10)


def test_skill_that_stays_is_proven_and_skill_that_ends_is_lost() -> None:
    told = terms()
    stays, ends = after(gains(500, 0.006, 3), told), after(gains(500, -0.006, 3), told)
    assert skill_evidence(stays, told).status == "proven"
    assert skill_evidence(ends, told).status == "lost"
    assert skill_evidence(start_evidence(told), told).status == "undecided"


def test_lost_outweighs_an_earlier_proof_and_stays_said() -> None:
    told = terms()
    both = after(np.concatenate([gains(500, 0.006, 3), gains(900, -0.02, 4)]), told)
    assert both.proven
    assert skill_evidence(both, told).status == "lost"
    assert add_date(both, 1.0, told).lost


def test_evidence_counts_once_it_has_stood_for_the_horizon() -> None:
    told = terms(steps=5)
    state = start_evidence(told)
    while state.lost_for == 0:
        state = add_date(state, -0.1, told)
    assert not state.lost
    assert after(np.full(state.dates + 4, -0.1), told).lost


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_gain_that_is_not_finite_changes_nothing(odd: float) -> None:
    told = terms()
    assert add_date(start_evidence(told), odd, told) == start_evidence(told)


def test_a_state_survives_json() -> None:
    told = terms(steps=2)
    state = after(gains(50, 0.0), told)
    kept = json.loads(json.dumps(asdict(state)))
    rows = {name: tuple(kept.pop(name)) for name in ("against", "in_favour")}
    assert SkillState(**kept, **rows) == state


def test_it_says_about_how_many_dates_are_missing() -> None:
    told = terms()
    needed = dates_needed(0.006, told)
    assert needed is not None
    taken = []
    for seed in range(60):
        state = start_evidence(told)
        for value in gains(2000, 0.006, seed + 10):
            state = add_date(state, float(value), told)
            if state.proven:
                break
        taken.append(state.dates)
    assert 0.4 * needed <= np.median(taken) <= 1.5 * needed
    assert dates_needed(0.0, told) is None
    assert dates_needed(-1.0, told) is None


def test_a_holdout_without_an_edge_can_not_be_lost_by_having_none() -> None:
    weak = skill_terms(gains(500, 0.0005), steps_ahead=1)
    assert weak is not None
    assert weak.lower < 0.0
    assert skill_evidence(start_evidence(weak), weak).dates_to_lose is None
