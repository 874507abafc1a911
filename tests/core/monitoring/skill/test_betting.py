"""Capital that can't be expected to grow while the bet is wrong, and does while it is right."""

from __future__ import annotations

import numpy as np
import pytest

from mlengine.core.monitoring.skill.betting import STAKES, Bet, e_values, interleave


def test_a_stake_multiplies_capital_by_one_plus_its_gain() -> None:
    growth = Bet(mean=0.1, deviation=1.0, side=1).log_growth(np.array([0.6]))
    assert growth[0] == pytest.approx(np.log1p(0.5 * np.array(STAKES)))
    against = Bet(mean=0.1, deviation=1.0, side=-1).log_growth(np.array([0.6]))
    assert against[0] == pytest.approx(np.log1p(-0.5 * np.array(STAKES)))


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("mean", [0.0, 3.0, -40.0])
def test_no_value_takes_all_the_capital(side: int, mean: float) -> None:
    growth = Bet(mean=mean, deviation=1.0, side=side).log_growth(np.array([-1e9, 0.0, 1e9]))
    assert np.isfinite(growth).all()


def test_values_beyond_six_deviations_count_as_if_they_lay_there() -> None:
    bet = Bet(mean=0.0, deviation=0.5, side=1)
    assert bet.log_growth(np.array([3.0])) == pytest.approx(bet.log_growth(np.array([1e6])))


def test_streams_take_turns() -> None:
    growth = np.ones((5, 1))
    log_capital = interleave(growth, steps_ahead=2)
    assert log_capital[-1, :, 0].tolist() == [3.0, 2.0]
    assert e_values(log_capital)[-1] == pytest.approx((np.exp(3.0) + np.exp(2.0)) / 2.0)


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("heavy", [False, True])
def test_capital_seldom_ever_passes_twenty_where_the_bet_is_wrong(steps: int, heavy: bool) -> None:
    rng = np.random.default_rng(steps)
    passed = 0
    for _ in range(400):
        values = rng.standard_t(4, 1500) / np.sqrt(2.0) if heavy else rng.normal(size=1500)
        growth = Bet(mean=0.0, deviation=1.0, side=1).log_growth(values)
        passed += bool(e_values(interleave(growth, steps_ahead=steps)).max() >= 20.0)
    assert passed <= 0.08 * 400


def test_capital_grows_where_it_is_right() -> None:
    values = np.random.default_rng(1).normal(0.2, 1.0, 1000)
    assert e_values(interleave(Bet(0.0, 1.0, 1).log_growth(values), steps_ahead=1))[-1] > 20.0
