"""What is said after each date, and that it is the same whether kept or computed again."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.skill.betting import e_values, interleave
from mlengine.core.monitoring.skill.decline import HORIZON_DATES
from mlengine.core.monitoring.skill.evidence import (
    SkillState,
    SkillTerms,
    add_date,
    dates_needed,
    first_lost,
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
    proven = e_values(interleave(told.bet.log_growth(live), steps_ahead=steps))[-1]
    assert found.proven_e_value == pytest.approx(proven, rel=1e-10)
    assert told.decline is not None
    shortfall = told.decline.shortfalls(live).sum()
    chance = told.decline.chance(shortfall, len(live))
    assert found.lost_e_value == pytest.approx(chance / 0.05, rel=1e-10)


@pytest.mark.parametrize("steps", [1, 4])
def test_the_first_date_of_a_loss_is_that_of_the_state(steps: int) -> None:
    told, live = terms(steps), gains(600, -0.006, seed=5)
    first = first_lost(live, told)
    assert first is not None
    assert after(live[:first], told).lost
    assert not after(live[: first - 1], told).lost
    assert first_lost(gains(600, 0.006, seed=5), told) is None


def test_the_evidence_of_a_loss_stands_at_its_level_when_it_is_said_and_stays() -> None:
    told, live = terms(), gains(600, -0.006, seed=5)
    first = first_lost(live, told)
    assert first is not None
    begun, before, said, later = (
        skill_evidence(after(live[:dates], told), told) for dates in (0, first - 1, first, 600)
    )
    assert begun.lost_e_value == pytest.approx(0.8)
    assert begun.lost_p_value == 1.0
    assert before.lost_e_value < 20.0
    assert before.lost_p_value > 0.05
    assert said.lost_e_value == later.lost_e_value == 20.0
    assert said.lost_p_value == later.lost_p_value <= 0.05
    assert said.dates_to_lose == 0


def test_a_spell_of_bad_luck_leaves_its_mark_on_the_p_value_alone() -> None:
    told = terms()
    bad = after(gains(10, -0.006, 5), told)
    well = after(np.concatenate([gains(10, -0.006, 5), gains(400, 0.012, 6)]), told)
    marked, mended = skill_evidence(bad, told), skill_evidence(well, told)
    assert mended.lost_p_value == pytest.approx(marked.lost_p_value, rel=0.2)
    assert mended.lost_e_value < 0.1 * marked.lost_e_value


def test_after_five_years_it_is_weighed_anew() -> None:
    told, live = terms(), gains(HORIZON_DATES + 1, 0.006, seed=3)
    end = after(live[:HORIZON_DATES], told)
    assert (end.counted, end.lost) == (HORIZON_DATES, False)
    anew = add_date(end, float(live[-1]), told)
    assert told.decline is not None
    assert (anew.counted, anew.dates) == (1, HORIZON_DATES + 1)
    assert anew.shortfall == pytest.approx(told.decline.shortfalls(live[-1:])[0])
    late = np.concatenate([live[:HORIZON_DATES], gains(300, -0.006, 4)])
    first = first_lost(late, told)
    assert first is not None
    assert after(late[:first], told).lost
    assert not after(late[: first - 1], told).lost


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


def test_proof_counts_once_it_has_stood_for_the_horizon() -> None:
    told = terms(steps=5)
    state = start_evidence(told)
    while state.proven_for == 0:
        state = add_date(state, 0.1, told)
    assert not state.proven
    assert after(np.full(state.dates + 4, 0.1), told).proven


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_gain_that_is_not_finite_changes_nothing(odd: float) -> None:
    told = terms()
    assert add_date(start_evidence(told), odd, told) == start_evidence(told)


def test_a_state_survives_json() -> None:
    told = terms(steps=2)
    state = after(gains(50, 0.0), told)
    kept = json.loads(json.dumps(asdict(state)))
    assert SkillState(**kept | {"in_favour": tuple(kept["in_favour"])}) == state


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


def test_a_weak_holdout_needs_more_dates_than_a_strong_one() -> None:
    needed = []
    for mean in (0.001, 0.003, 0.006):
        told = skill_terms(gains(500, mean, seed=1), steps_ahead=1)
        assert told is not None
        needed.append(skill_evidence(start_evidence(told), told).dates_to_lose or math.inf)
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] < 200


def test_more_dates_of_training_find_more_weak_skill_that_is_gone() -> None:
    found = []
    for dates in (250, 2000):
        lost = 0
        for seed in range(40):
            told = skill_terms(gains(dates, 0.0015, seed), steps_ahead=1)
            assert told is not None
            assert told.dates == dates
            lost += first_lost(gains(1000, -0.0015, seed + 1000), told) is not None
        found.append(lost)
    assert found[0] + 10 <= found[1] >= 36


def test_skill_that_was_less_in_training_is_no_more_often_said_to_be_lost() -> None:
    """Models of earlier folds have learnt from less."""
    rng, lost = np.random.default_rng(8), 0
    for _ in range(100):
        younger, older, live = (rng.normal(x, 0.02, 500) for x in (0.001, 0.004, 0.004))
        told = skill_terms(np.concatenate([younger, older]), steps_ahead=1)
        assert told is not None
        lost += first_lost(live, told) is not None
    assert lost <= 0.05 * 100


def test_folds_of_another_kind_leave_the_evidence_of_the_holdout() -> None:
    """Models that have learnt little may say much, and be wrong: their gains tell nothing."""
    wild, holdout = gains(900, -0.01, 9) * 4.0, gains(500, 0.006)
    both = np.concatenate([wild, holdout])
    live = gains(500, -0.006, 5)
    alone, folds = (skill_terms(both, steps_ahead=1, holdout_dates=n) for n in (500, 0))
    assert alone is not None
    assert folds is not None
    assert first_lost(live, alone) is not None
    assert first_lost(live, folds) is None


def test_where_the_holdout_has_no_skill_there_is_none_to_lose() -> None:
    worse = skill_terms(gains(500, -0.02), steps_ahead=1)
    assert worse is not None
    state = after(gains(300, -0.02, 3), worse)
    found = skill_evidence(state, worse)
    assert (found.status, found.lost_e_value, found.lost_p_value) == ("undecided", 0.0, 1.0)
    assert found.dates_to_lose is None


def test_evidence_stays_a_number_however_much_there_is() -> None:
    told = terms()
    found = skill_evidence(after(np.full(3000, -0.1), told), told)
    assert found.status == "lost"
    assert math.isfinite(found.lost_e_value)


def test_what_falls_to_zero_takes_longer_to_be_lost_than_what_falls_below() -> None:
    needed = []
    for fall in (2.0, 1.0):
        told = skill_terms(gains(500, 0.02), steps_ahead=1, fall=fall)
        assert told is not None
        needed.append(skill_evidence(start_evidence(told), told).dates_to_lose)
    assert needed[0] is not None
    assert needed[1] is not None
    assert needed[0] < needed[1]
