"""Losses row by row and date by date: what models are compared by."""

import numpy as np

from mlengine.core.arrays import Floats, Rows
from mlengine.core.metrics.point_losses import log_losses

LOSS_NAMES = {"direction": "log_loss", "return": "mse"}


def row_losses(objective: str, *, labels: Floats, scores: Floats) -> Floats:
    """Log-loss in nats for `direction`, squared error for `return`, one a row.

    Probabilities are kept 1e-15 off 0 and 1.
    """
    if objective != "direction":
        return np.square(labels - scores)
    return log_losses(labels, scores)


def constant_loss(objective: str, *, labels: Floats, trained: Floats) -> float:
    """The mean loss of the best constant: the mean of `trained` labels or, for returns, zero."""
    mean = float(np.mean(trained))
    constants = [mean] if objective == "direction" else [0.0, mean]
    every = (np.full(len(labels), constant) for constant in constants)
    return min(
        float(np.mean(row_losses(objective, labels=labels, scores=score))) for score in every
    )


def mean_by_date(timestamps: Rows, values: Floats) -> Floats:
    """The mean of `values` over the rows of each distinct timestamp, in the order of time."""
    _, date = np.unique(timestamps, return_inverse=True)
    return np.bincount(date, weights=values) / np.bincount(date)
