"""Metrics of probabilities, each beside what the training part's up rate alone would score."""

from __future__ import annotations

import numpy as np

from mlengine.core.evaluation import Measure
from mlengine.core.metrics.actuals import Baseline
from mlengine.core.metrics.estimates import Estimator
from mlengine.core.metrics.point_losses import brier, hit_rate, log_loss, log_losses


def classification_measures(estimator: Estimator, baseline: Baseline) -> dict[str, Measure]:
    """Log-loss, Brier score and accuracy; a row that didn't move counts as down."""
    samples = estimator.samples
    actual_up, scores = samples.actual_up, samples.scores
    constant = np.full(len(actual_up), baseline.up_rate)
    return {
        "log_loss": estimator.mean(
            log_losses(actual_up, scores), log_loss(actual_up, constant), "training_rate"
        ),
        "brier": estimator.mean(
            np.square(actual_up - scores), brier(actual_up, constant), "training_rate"
        ),
        "accuracy": estimator.mean(
            ((actual_up > 0.0) == samples.predicted_up).astype(np.float64),
            hit_rate(actual_up, constant >= 0.5),
            "majority_class",
            last_return_sign=hit_rate(actual_up, samples.last_returns > 0.0),
        ),
    }
