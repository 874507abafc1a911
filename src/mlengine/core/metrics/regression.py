"""Metrics of forecast returns, beside forecasting none and beside the training part's mean."""

import numpy as np

from mlengine.core.evaluation import Measure
from mlengine.core.metrics.actuals import Baseline
from mlengine.core.metrics.interval_estimator import IntervalEstimator
from mlengine.core.metrics.losses import mae, mse


def regression_measures(
    estimator: IntervalEstimator, baseline: Baseline, *, relative: bool
) -> dict[str, Measure]:
    """Squared and absolute error; `relative` scores are compared with labels of their own kind."""
    targets, scores = estimator.scored.targets, estimator.scored.scores
    zero, mean = np.zeros(len(targets)), np.full(len(targets), baseline.mean_label)
    kind = "zero_score" if relative else "zero_return"
    missed = targets - scores
    return {
        name: estimator.measure_mean(
            losses, loss(targets, zero), kind, training_mean=loss(targets, mean)
        )
        for name, losses, loss in (("mse", np.square(missed), mse), ("mae", np.abs(missed), mae))
    }
