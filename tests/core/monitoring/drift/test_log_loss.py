"""The estimate is the loss itself where probabilities mean what calibration says."""

from __future__ import annotations

import numpy as np
import pytest

from mlengine.core.monitoring.drift.distances import sort_columns
from mlengine.core.monitoring.drift.grid import FeatureGrid
from mlengine.core.monitoring.drift.log_loss import estimate_log_loss, expected_losses


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 0.1)])
def test_it_is_the_mean_loss_of_outcomes_by_the_calibrated_chances(
    slope: float, intercept: float
) -> None:
    rng = np.random.default_rng(0)
    trained = 1.0 / (1.0 + np.exp(-rng.normal(0.0, 0.6, 40_000)))
    grid = FeatureGrid.of(("prediction",), sort_columns(trained[:, None]))
    losses = expected_losses(trained, grid, slope=slope, intercept=intercept)
    live = 1.0 / (1.0 + np.exp(-rng.normal(0.1, 0.3, 40_000)))
    chances = 1.0 / (1.0 + np.exp(-intercept - slope * np.log(live / (1.0 - live))))
    up = rng.random(40_000) < chances
    happened = -np.mean(np.where(up, np.log(live), np.log1p(-live)))
    counts = [np.bincount(grid.bins_of(0, each), minlength=40) for each in (live, trained)]
    found = estimate_log_loss(losses, window=counts[0], trained=counts[1])
    assert found.estimated == pytest.approx(happened, abs=0.005)
    assert found.at_training != found.estimated


def test_without_scores_there_is_no_estimate() -> None:
    nothing = np.array([np.nan])
    grid = FeatureGrid.of(("prediction",), sort_columns(nothing[:, None]))
    losses = expected_losses(nothing, grid, slope=1.0, intercept=0.0)
    found = estimate_log_loss(losses, window=np.zeros(40), trained=np.zeros(40))
    assert (found.estimated, found.at_training) == (None, None)
