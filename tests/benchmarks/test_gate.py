"""How often the gate lets through what it should not, and what it should: the short forms.

Bounds are those of the full forms, widened by what so few draws leave open.
"""

import numpy as np
import pytest
from benchmarks.gate import (
    WEEKS,
    Forecasters,
    Market,
    better,
    equals,
    forecast,
    share_of_years,
    slow,
    strength_of,
    years_of,
)

from mlengine.core import metrics
from mlengine.core.promotion.gate import SIGNIFICANCE_LEVEL, significance_level

USELESS = Forecasters(0.5, 0.5, "slow")
SKILLED = Forecasters(0.55, 1.0, "slow")
LEVELS = np.array([significance_level(n) for n in range(1, WEEKS + 1)])


@pytest.mark.parametrize(("auc", "error"), [(0.55, 0.0), (0.71, 0.0), (0.6, 1.0)])
def test_the_simulated_forecasters_have_the_skill_that_they_are_said_to_have(auc, error):
    rng = np.random.default_rng(5)
    strength = strength_of(auc, error=error)
    found = []
    for _ in range(40):
        signal, labels = Market(strength).draw(rng, 500)
        said = forecast(signal, strength, slow(rng, signal.shape), error)
        found.append((metrics.auc(labels.ravel(), said.ravel()), np.mean(said - labels)))
    skill, bias = np.mean(found, axis=0)
    assert skill == pytest.approx(auc, abs=0.015)
    assert bias == pytest.approx(0.0, abs=0.02)


def test_neighbouring_labels_share_bars_and_symbols_move_together():
    _, labels = Market(0.0).draw(np.random.default_rng(5), 20_000)
    flat = labels - labels.mean()
    alike = [float(np.mean(flat[:, lag:] * flat[:, : 20_000 - lag])) * 4 for lag in (1, 4, 5)]
    # The direction of two sums of five that share m terms: 2/pi * arcsin(m / 5).
    assert alike == pytest.approx([0.59, 0.128, 0.0], abs=0.03)
    assert np.corrcoef(labels)[0, 1] == pytest.approx(2 / np.pi * np.arcsin(0.4), abs=0.04)


@pytest.mark.parametrize("pair", [USELESS, SKILLED], ids=lambda pair: pair.name)
def test_an_equal_challenger_is_seldom_promoted(pair):
    p_values = equals(pair, simulations=300, seed=11)
    assert 0.01 <= np.mean(p_values < SIGNIFICANCE_LEVEL) <= 0.08
    assert 0.4 <= np.mean(p_values < 0.5) <= 0.6


def test_a_challenger_that_is_ten_percent_better_is_promoted():
    p_values, auc, lower = better(0.71, simulations=60, seed=11)
    assert auc == pytest.approx(0.71, abs=0.02)
    assert lower == pytest.approx(0.10, abs=0.02)
    assert np.mean(p_values < SIGNIFICANCE_LEVEL) >= 0.9


def test_a_year_of_equal_challengers_promotes_far_less_than_a_test_that_forgets():
    p_values = years_of(SKILLED, years=25, seed=11)
    assert share_of_years(p_values, LEVELS) <= 0.1
    assert share_of_years(p_values, np.full(WEEKS, SIGNIFICANCE_LEVEL)) >= 0.25


@pytest.mark.soak
@pytest.mark.parametrize(
    "pair",
    [Forecasters(a, e, k) for a in (0.5, 0.55) for e in (0.5, 1.0) for k in ("fresh", "slow")],
    ids=lambda pair: pair.name,
)
def test_equal_challengers_are_promoted_in_at_most_six_percent(pair):
    p_values = equals(pair, simulations=10_000, seed=11)
    assert np.mean(p_values < SIGNIFICANCE_LEVEL) <= 0.06


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["fresh", "slow"])
@pytest.mark.parametrize("auc", [0.5, 0.55])
def test_at_most_one_year_in_ten_has_a_promotion_of_an_equal(auc, kind):
    p_values = years_of(Forecasters(auc, 1.0, kind), years=1000, seed=11)
    assert share_of_years(p_values, LEVELS) <= 0.10
