"""Losses of each row, their means over rows, and the share of right signs."""

import numpy as np

from mlengine.core.arrays import Flags, Floats

LOSS_NAMES = {"direction": "log_loss", "return": "mse"}
_SMALLEST_PROBABILITY = 1e-15


def log_losses(actual_up: Floats, probabilities: Floats) -> Floats:
    """Negative log-likelihood of each row in nats; probabilities are kept 1e-15 off 0 and 1."""
    p = np.clip(probabilities, _SMALLEST_PROBABILITY, 1.0 - _SMALLEST_PROBABILITY)
    return np.asarray(-(actual_up * np.log(p) + (1.0 - actual_up) * np.log1p(-p)))


def log_loss(actual_up: Floats, probabilities: Floats) -> float:
    """Mean negative log-likelihood in nats.

    >>> round(log_loss(np.array([1.0, 0.0]), np.array([0.8, 0.4])), 4)
    0.367
    """
    return float(np.mean(log_losses(actual_up, probabilities)))


def brier(actual_up: Floats, probabilities: Floats) -> float:
    """Mean squared error of probabilities (Brier 1950)."""
    return mse(actual_up, probabilities)


def mse(values: Floats, scores: Floats) -> float:
    return float(np.mean(np.square(values - scores)))


def mae(values: Floats, scores: Floats) -> float:
    return float(np.mean(np.abs(values - scores)))


def hit_rate(actual_up: Floats, predicted_up: Flags) -> float:
    """The share of rows on which up was predicted and came, or neither; NaN without rows."""
    return float(np.mean((actual_up > 0.0) == predicted_up)) if len(actual_up) else float("nan")


def row_losses(objective: str, *, labels: Floats, scores: Floats) -> Floats:
    """Log-loss in nats for `direction`, squared error for `return`, one a row.

    Probabilities are kept 1e-15 off 0 and 1.
    """
    if objective != "direction":
        return np.square(labels - scores)
    return log_losses(labels, scores)


def best_constant_loss(objective: str, *, labels: Floats, trained: Floats) -> float:
    """The mean loss of the best constant: the mean of `trained` labels or, for returns, zero."""
    mean = float(np.mean(trained))
    constants = [mean] if objective == "direction" else [0.0, mean]
    every = (np.full(len(labels), constant) for constant in constants)
    return min(
        float(np.mean(row_losses(objective, labels=labels, scores=score))) for score in every
    )
