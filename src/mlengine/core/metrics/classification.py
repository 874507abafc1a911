"""Metrics of probabilities, each beside what the training part's up rate alone would score."""

import numpy as np

from mlengine.core.evaluation import MetricEstimate
from mlengine.core.metrics.actuals import Baseline
from mlengine.core.metrics.bootstrap_estimator import BaselineRows, BootstrapEstimator
from mlengine.core.metrics.losses import hit_rate, log_losses


def classification_metrics(
    estimator: BootstrapEstimator, baseline: Baseline
) -> dict[str, MetricEstimate]:
    """Log-loss, Brier score and accuracy; a row that didn't move counts as down."""
    scored = estimator.scored
    up, scores = scored.target_up, scored.scores
    constant = np.full(len(up), baseline.up_rate)
    mean = estimator.estimate_mean
    return {
        "log_loss": mean(
            log_losses(up, scores), BaselineRows(log_losses(up, constant), "training_rate")
        ),
        "brier": mean(
            np.square(up - scores), BaselineRows(np.square(up - constant), "training_rate")
        ),
        "accuracy": mean(
            ((up > 0.0) == scored.predicted_up).astype(np.float64),
            BaselineRows(
                ((up > 0.0) == (constant >= 0.5)).astype(np.float64),
                "majority_class",
                larger_is_better=True,
            ),
            last_return_sign=hit_rate(up, scored.last_returns > 0.0),
        ),
    }
