"""Metrics of a score against what happened, each beside a baseline from the training part only.

All functions take float64 arrays of one length without NaN, and give NaN where a metric is not
defined (an AUC of one class, a correlation of a constant).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlengine.core.arrays import Flags, Floats, Rows
from mlengine.core.evaluation import Measure

_SMALLEST_PROBABILITY = 1e-15


@dataclass(frozen=True)
class Baseline:
    """What a forecaster without features would have learnt from the training part."""

    up_rate: float
    mean_return: float


@dataclass(frozen=True)
class Outcomes:
    """What happened on some rows; `last_returns` is each row's own newest one-bar return."""

    forward_returns: Floats
    last_returns: Floats

    @property
    def ups(self) -> Floats:
        return (self.forward_returns > 0.0).astype(np.float64)

    def at(self, rows: Rows) -> Outcomes:
        """Those of the rows with these numbers."""
        return Outcomes(self.forward_returns[rows], self.last_returns[rows])


def baseline(forward_returns: Floats) -> Baseline:
    """The up rate and mean of the training part."""
    return Baseline(
        up_rate=float(np.mean(forward_returns > 0.0)), mean_return=float(np.mean(forward_returns))
    )


def evaluate(
    objective: str, *, outcomes: Outcomes, scores: Floats, baseline: Baseline
) -> dict[str, Measure]:
    """Every metric of the objective by name."""
    if objective == "direction":
        return _direction(outcomes, scores, baseline)
    return _return(outcomes, scores, baseline)


def _direction(outcomes: Outcomes, scores: Floats, baseline: Baseline) -> dict[str, Measure]:
    ups = outcomes.ups
    constant = np.full(len(ups), baseline.up_rate)
    last_up = (outcomes.last_returns > 0.0).astype(np.float64)
    return {
        "auc": _measure(auc(ups, scores), 0.5, "coin_flip", last_return_sign=auc(ups, last_up)),
        "log_loss": _measure(log_loss(ups, scores), log_loss(ups, constant), "training_rate"),
        "brier": _measure(brier(ups, scores), brier(ups, constant), "training_rate"),
        "accuracy": _measure(
            hit_rate(ups, scores >= 0.5),
            hit_rate(ups, constant >= 0.5),
            "majority_class",
            last_return_sign=hit_rate(ups, last_up > 0.0),
        ),
    }


def _return(outcomes: Outcomes, scores: Floats, baseline: Baseline) -> dict[str, Measure]:
    returns, ups = outcomes.forward_returns, outcomes.ups
    zero, mean = np.zeros(len(returns)), np.full(len(returns), baseline.mean_return)
    return {
        "mse": _measure(
            mse(returns, scores),
            mse(returns, zero),
            "zero_return",
            training_mean=mse(returns, mean),
        ),
        "mae": _measure(
            mae(returns, scores),
            mae(returns, zero),
            "zero_return",
            training_mean=mae(returns, mean),
        ),
        "ic": _measure(correlation(returns, scores), 0.0, "no_skill"),
        "rank_ic": _measure(correlation(ranks(returns), ranks(scores)), 0.0, "no_skill"),
        "hit_rate": _measure(
            hit_rate(ups, scores > 0.0),
            hit_rate(ups, np.full(len(ups), baseline.up_rate >= 0.5)),
            "majority_class",
            last_return_sign=hit_rate(ups, outcomes.last_returns > 0.0),
        ),
    }


def loss(objective: str, *, outcomes: Outcomes, scores: Floats) -> float:
    """What the gate compares: log-loss for `direction`, mean squared error for `return`."""
    if objective == "direction":
        return log_loss(outcomes.ups, scores)
    return mse(outcomes.forward_returns, scores)


def constant_loss(objective: str, *, outcomes: Outcomes, baseline: Baseline) -> float:
    """The loss of the best constant forecast: the training rate; zero or the training mean."""
    constants = [baseline.up_rate] if objective == "direction" else [0.0, baseline.mean_return]
    rows = len(outcomes.forward_returns)
    return min(loss(objective, outcomes=outcomes, scores=np.full(rows, c)) for c in constants)


def auc(ups: Floats, scores: Floats) -> float:
    """The chance that an up row scores above a down row, ties half (Mann-Whitney)."""
    positive = ups > 0.0
    n_up, n_down = int(positive.sum()), int((~positive).sum())
    if not n_up or not n_down:
        return math.nan
    rank_sum = float(ranks(scores)[positive].sum())
    return (rank_sum - n_up * (n_up + 1) / 2) / (n_up * n_down)


def log_loss(ups: Floats, probabilities: Floats) -> float:
    """Mean negative log-likelihood in nats; probabilities are kept 1e-15 off 0 and 1."""
    p = np.clip(probabilities, _SMALLEST_PROBABILITY, 1.0 - _SMALLEST_PROBABILITY)
    return float(-np.mean(ups * np.log(p) + (1.0 - ups) * np.log1p(-p)))


def brier(ups: Floats, probabilities: Floats) -> float:
    """Mean squared error of probabilities (Brier 1950)."""
    return mse(ups, probabilities)


def mse(values: Floats, scores: Floats) -> float:
    return float(np.mean(np.square(values - scores)))


def mae(values: Floats, scores: Floats) -> float:
    return float(np.mean(np.abs(values - scores)))


def hit_rate(ups: Floats, said_up: Flags) -> float:
    """The share of rows on which "up" was said and came, or neither."""
    return float(np.mean((ups > 0.0) == said_up))


def correlation(values: Floats, scores: Floats) -> float:
    """Pearson correlation over all rows; NaN when one side is constant."""
    x, y = values - values.mean(), scores - scores.mean()
    scale = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / scale if scale > 0.0 else math.nan


def ranks(values: Floats) -> Floats:
    """Ranks from 1, ties at their average."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((2 * last - counts + 1) / 2.0)[group]


def _measure(value: float, baseline: float, kind: str, **others: float) -> Measure:
    return Measure(
        _defined(value), _defined(baseline), kind, {k: _defined(v) for k, v in others.items()}
    )


def _defined(value: float) -> float | None:
    return value if math.isfinite(value) else None
