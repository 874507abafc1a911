"""Whole trainings on bars whose truth is known; the full forms are in benchmarks/verdicts.py."""

import numpy as np
import pytest
from benchmarks.simulated import next_bar_auc, planted_next_bar, random_bars, solved
from benchmarks.trainings import labelled, on_planted_bars, on_random_bars

from mlengine.core.metrics import auc


def _share(found, word):
    return np.mean([each.verdict == word for each in found])


def test_random_bars_hardly_ever_show_an_edge():
    found = on_random_bars(16, horizon_bars=5, first_seed=0, bars=900)
    assert _share(found, "edge") <= 3 / 16
    assert np.mean([each.auc for each in found]) == pytest.approx(0.5, abs=0.03)


def test_a_planted_edge_is_found_and_measured_right():
    found = on_planted_bars(2, first_seed=0, symbols=10, bars=1_500)
    assert _share(found, "edge") == 1.0
    for each in found:
        assert each.auc == pytest.approx(0.6, abs=0.035)
        # A model can't rank better than the truth but by luck.
        assert -0.025 <= each.auc - each.truth <= 0.01


def test_the_plant_has_the_auc_that_it_claims():
    strength = solved(next_bar_auc, 0.6, low=0.0, high=3.0)
    planted = planted_next_bar(40, 2_000, strength=strength, seed=1)
    truth = planted.truth["truth"].to_numpy().reshape(40, 2_000)
    ups = (truth[:, 1:] > 0.0).astype(float)
    assert auc(ups.ravel(), truth[:, :-1].ravel()) == pytest.approx(0.6, abs=0.006)


def test_random_bars_move_together_as_they_claim():
    close = random_bars(4, 4_000, correlation=0.4, seed=1)["close"].to_numpy().reshape(4, 4_000)
    found = np.corrcoef(np.diff(np.log(close)))
    assert found[np.triu_indices(4, 1)] == pytest.approx(np.full(6, 0.4), abs=0.05)
    assert labelled(random_bars(2, 200, correlation=0.4, seed=1), horizon_bars=5).frame.height


@pytest.mark.soak
@pytest.mark.parametrize("horizon_bars", [1, 5, 20])
def test_random_bars_show_an_edge_in_at_most_eight_percent_of_200_trainings(horizon_bars):
    assert _share(on_random_bars(200, horizon_bars=horizon_bars, first_seed=1_000), "edge") <= 0.08


@pytest.mark.soak
def test_fifty_trainings_find_a_planted_auc_of_sixty_percent():
    found = on_planted_bars(50, first_seed=1_000)
    aucs = np.array([each.auc for each in found])
    assert aucs.mean() == pytest.approx(0.6, abs=0.01)
    assert np.mean(np.abs(aucs - 0.6) <= 0.02) >= 0.9
    assert _share(found, "edge") >= 0.95
