"""Metrics of probabilities, each beside what the training part's up rate alone would score."""

from __future__ import annotations

import numpy as np

from mlengine.core.evaluation import Measure
from mlengine.core.metrics.estimates import Estimator
from mlengine.core.metrics.outcomes import Baseline
from mlengine.core.metrics.point_losses import brier, hit_rate, log_loss, log_losses


def direction(sampled: Estimator, baseline: Baseline) -> dict[str, Measure]:
    """Log-loss, Brier score and accuracy; a row that didn't move counts as down."""
    cases = sampled.cases
    ups, scores = cases.ups, cases.scores
    constant = np.full(len(ups), baseline.up_rate)
    return {
        "log_loss": sampled.mean(log_losses(ups, scores), log_loss(ups, constant), "training_rate"),
        "brier": sampled.mean(np.square(ups - scores), brier(ups, constant), "training_rate"),
        "accuracy": sampled.mean(
            ((ups > 0.0) == cases.said_up).astype(np.float64),
            hit_rate(ups, constant >= 0.5),
            "majority_class",
            last_return_sign=hit_rate(ups, cases.last_returns > 0.0),
        ),
    }
