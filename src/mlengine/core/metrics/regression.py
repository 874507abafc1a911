"""Metrics of forecast returns, beside forecasting none and beside the training part's mean."""

import numpy as np

from mlengine.core.evaluation import MetricEstimate
from mlengine.core.metrics.actuals import Baseline
from mlengine.core.metrics.bootstrap_estimator import BaselineRows, BootstrapEstimator
from mlengine.core.metrics.losses import mae, mse


def regression_metrics(
    estimator: BootstrapEstimator, baseline: Baseline, *, relative: bool
) -> dict[str, MetricEstimate]:
    """Squared and absolute error; `relative` scores are compared with labels of their own kind."""
    targets, scores = estimator.scored.targets, estimator.scored.scores
    mean = np.full(len(targets), baseline.mean_label)
    kind = "zero_score" if relative else "zero_return"
    missed = targets - scores
    return {
        name: estimator.estimate_mean(
            of(missed), BaselineRows(of(targets), kind), training_mean=loss(targets, mean)
        )
        for name, of, loss in (("mse", np.square, mse), ("mae", np.abs, mae))
    }
