"""Whether probabilities mean what they say: slope, intercept and a table of ten bins."""

import math

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.evaluation import Calibration, CalibrationBin, MetricEstimate
from mlengine.core.metrics.block_bootstrap import BlockDraws, weighted_sums
from mlengine.core.metrics.bootstrap_estimator import no_confidence_interval_reason
from mlengine.core.metrics.scored_rows import ScoredRows

_BINS = 10
_SMALLEST_PROBABILITY = 1e-15
_MOST_STEPS = 50
_CONVERGED = 1e-10
_NOT_FITTED = "no finite fit: all forecasts or all outcomes are equal, or the one orders the other"


def calibration(scored: ScoredRows, draws: BlockDraws) -> Calibration:
    """logit(P(up)) = intercept + slope * logit(forecast) by maximum likelihood (Cox 1958).

    A draw's fit is one Newton step away from that of all rows, which is as close to it as the
    draw's own sampling error squared. The bins hold a tenth of the forecasts each: probabilities
    of market moves crowd around the base rate and would fill two of ten equally wide ones.
    """
    up, logits = scored.target_up, _logit(scored.scores)
    fit = _fit(up, logits)
    if fit is None:
        slope, intercept = (
            MetricEstimate(None, b, "perfect", reason=_NOT_FITTED) for b in (1.0, 0.0)
        )
    else:
        steps = fit + _newton_steps(scored, draws.weights, up, logits, fit)
        slope = _estimate(float(fit[1]), 1.0, draws, steps[:, 1])
        intercept = _estimate(float(fit[0]), 0.0, draws, steps[:, 0])
    return Calibration(slope, intercept, calibration_bins(up, scored.scores))


def calibration_bins(up: Floats, forecasts: Floats) -> tuple[CalibrationBin, ...]:
    """Ten bins between the deciles of the forecasts; equal deciles leave a bin empty."""
    edges = np.quantile(forecasts, np.linspace(0.0, 1.0, _BINS + 1))
    number = np.searchsorted(edges[1:-1], forecasts, side="right")
    return tuple(
        _bin(edges[i], edges[i + 1], up[number == i], forecasts[number == i]) for i in range(_BINS)
    )


def _bin(low: float, high: float, up: Floats, forecasts: Floats) -> CalibrationBin:
    if not len(up):
        return CalibrationBin(float(low), float(high), 0, None, None)
    mean_forecast, up_share = float(forecasts.mean()), float(up.mean())
    return CalibrationBin(float(low), float(high), len(up), mean_forecast, up_share)


def _estimate(value: float, perfect: float, draws: BlockDraws, values: Floats) -> MetricEstimate:
    low, high = draws.interval(value, values)
    return MetricEstimate(
        value,
        perfect,
        "perfect",
        low=low,
        high=high,
        reason=no_confidence_interval_reason(values, low),
    )


def _logit(probabilities: Floats) -> Floats:
    p = np.clip(probabilities, _SMALLEST_PROBABILITY, 1.0 - _SMALLEST_PROBABILITY)
    return np.asarray(np.log(p) - np.log1p(-p))


def _fit(up: Floats, logits: Floats) -> Floats | None:
    """(intercept, slope) by Newton's method; None where it doesn't converge."""
    fit = np.zeros(2)
    for _ in range(_MOST_STEPS):
        score, information = _rows(up, logits, fit)
        step = _solve(score.sum(axis=1), information.sum(axis=1))
        if not np.all(np.isfinite(step)):
            return None
        fit = fit + step
        if np.max(np.abs(step)) < _CONVERGED * max(1.0, float(np.max(np.abs(fit)))):
            return fit
    return None


def _rows(up: Floats, logits: Floats, fit: Floats) -> tuple[Floats, Floats]:
    """Each row's part of the score (2, rows) and of the information (aa, ab, bb; 3, rows)."""
    p = 1.0 / (1.0 + np.exp(-np.clip(fit[0] + fit[1] * logits, -700.0, 700.0)))
    miss, spread = up - p, p * (1.0 - p)
    return (
        np.stack([miss, miss * logits]),
        np.stack([spread, spread * logits, spread * logits * logits]),
    )


def _newton_steps(
    scored: ScoredRows, weights: Floats, up: Floats, logits: Floats, fit: Floats
) -> Floats:
    """(draws, 2)"""
    gradient, information = _rows(up, logits, fit)
    g0, g1 = (weighted_sums(weights, scored.sum_by_date(part)) for part in gradient)
    aa, ab, bb = (weighted_sums(weights, scored.sum_by_date(part)) for part in information)
    return _solve(np.stack([g0, g1]), np.stack([aa, ab, bb])).T


def _solve(score: Floats, information: Floats) -> Floats:
    """Information^-1 score of symmetric 2 x 2 systems; NaN where it is singular."""
    aa, ab, bb = information
    determinant = aa * bb - ab * ab
    step = np.stack([bb * score[0] - ab * score[1], aa * score[1] - ab * score[0]])
    regular = determinant > 1e-12 * aa * bb
    solved = np.full(step.shape, math.nan)
    np.divide(step, determinant, out=solved, where=regular)
    return solved
