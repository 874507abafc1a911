"""Metrics of forecast returns, beside forecasting none and beside the training part's mean."""

from __future__ import annotations

import numpy as np

from mlengine.core.evaluation import Measure
from mlengine.core.metrics.estimates import Estimator
from mlengine.core.metrics.outcomes import Baseline
from mlengine.core.metrics.point_losses import mae, mse


def returns(sampled: Estimator, baseline: Baseline, *, relative: bool) -> dict[str, Measure]:
    """Squared and absolute error; `relative` scores are compared with labels of their own kind."""
    moves, scores = sampled.cases.moves, sampled.cases.scores
    zero, mean = np.zeros(len(moves)), np.full(len(moves), baseline.mean_label)
    kind = "zero_score" if relative else "zero_return"
    missed = moves - scores
    return {
        "mse": sampled.mean(
            np.square(missed), mse(moves, zero), kind, training_mean=mse(moves, mean)
        ),
        "mae": sampled.mean(np.abs(missed), mae(moves, zero), kind, training_mean=mae(moves, mean)),
    }
