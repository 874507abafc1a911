"""The log-loss to be expected before an outcome is known, by what probabilities came to mean.

Of each bin of scores the holdout says how often "up" came true, by the fit of its calibration. If
that still holds, the mean loss of present scores follows (NannyML calls it confidence-based
performance estimation). It sees that scores moved to where the model is less sure, and can't see
that probabilities mean something else by now.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlengine.core.arrays import Floats, finite_or_none
from mlengine.core.monitoring.drift.grid import GRID_BINS, FeatureGrid

_SMALLEST = 1e-9


@dataclass(frozen=True)
class LogLossEstimate:
    """`estimated` for the rows of a window, and `at_training` in the same way for the holdout's.

    Null without rows. No outcome of the window is in it.
    """

    estimated: float | None
    at_training: float | None


def estimate_log_loss(losses: Floats, *, window: Floats, trained: Floats) -> LogLossEstimate:
    """From the losses of each bin, and counts of scores by bin; all (40,).

    >>> losses = np.array([0.2] * 20 + [0.6] * 20)
    >>> estimate_log_loss(losses, window=np.eye(40)[0], trained=np.eye(40)[20])
    LogLossEstimate(estimated=0.2, at_training=0.6)
    """
    means = []
    for counts in (window, trained):
        count = float(counts.sum())
        means.append(finite_or_none(float(counts @ losses) / count) if count else None)
    return LogLossEstimate(*means)


def expected_losses(scores: Floats, grid: FeatureGrid, *, slope: float, intercept: float) -> Floats:
    """(40,): the mean log-loss to be expected of the scores in each bin of the prediction's grid.

    Of a probability whose meaning is the calibrated one, logit(chance) = intercept + slope *
    logit(score). A bin without scores has the mean of all.
    """
    scores = np.clip(scores[np.isfinite(scores)], _SMALLEST, 1.0 - _SMALLEST)
    if not len(scores):
        return np.full(GRID_BINS, np.nan)
    chances = 1.0 / (1.0 + np.exp(-intercept - slope * np.log(scores / (1.0 - scores))))
    losses = -chances * np.log(scores) - (1.0 - chances) * np.log1p(-scores)
    bins = grid.bins_of(0, scores)
    counts, sums = np.bincount(bins, minlength=GRID_BINS), np.bincount(bins, losses, GRID_BINS)
    return np.where(counts > 0, sums / np.maximum(counts, 1), losses.mean())
