"""How far windows of training lie from the rest of training: what a live window is held against.

Features of neighbouring bars overlap and volatility comes in clusters, so that a hundred dates are
worth a few independent ones, and textbook thresholds cry all day. Windows of the same length,
taken from the training dates and compared with the dates beyond a gap on either side, say how far a
window lies that has not drifted. Their rank gives a threshold that holds for any distribution
(split conformal prediction: Vovk, Gammerman and Shafer 2005, "Algorithmic Learning in a Random
World", chapter 4; Papadopoulos et al. 2002).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlengine.core.arrays import Floats, Indices
from mlengine.core.monitoring.drift.tallies import DateTallies, RunningSums
from mlengine.core.monitoring.drift.window_measures import (
    MEASURES,
    psi_on_grid,
    window_measures,
)

FEWEST_WINDOWS = 40
TOO_FEW_WINDOWS, PAST_DIFFERS = "too_few_windows", "past_differs"
ALPHA = 0.05
# The least deviations that count: a window of few rows moves so far by one row or two.
_LEAST_SCALE = np.array([0.02, 0.01, 0.01, 0.005])
# How rarely as many windows of other years pass a threshold if years were alike.
_UNLIKE_YEARS = 0.02
_DATES_A_YEAR = 252


@dataclass(frozen=True)
class DriftCalibration:
    """What the windows of training say; `reason` is why there is no verdict by it, or None.

    `means` and `scales` (features, 4) put the measures of all features on one scale; `threshold`
    is that of the greatest of them. `ks_thresholds` and `psi_thresholds` (features,) are a map to
    look at: one feature alone, at the same level. `scores` are those of the `windows` disjoint
    windows in the order of time. Reasons: `too_few_windows`, `past_differs`.
    """

    window_dates: int
    gap_dates: int
    alpha: float
    windows: int
    sliding_windows: int
    means: Floats
    scales: Floats
    threshold: float
    ks_thresholds: Floats
    psi_thresholds: Floats
    scores: Floats
    reason: str | None


def rank_threshold(values: Floats, *, alpha: float) -> Floats:
    """The value of rank ceil((n + 1)(1 - alpha)) among the n along the first axis, from the least.

    Infinite where n is too small to have that rank. A further value that is exchangeable with
    them is greater with at most this chance; the plain quantile of forty is passed by 7.2 %.

    >>> float(rank_threshold(np.arange(1.0, 41.0), alpha=0.05))
    39.0
    """
    rank = math.ceil((len(values) + 1) * (1.0 - alpha) - 1e-9)
    if rank > len(values):
        return np.full(values.shape[1:], np.inf)
    return np.asarray(np.partition(values, rank - 1, axis=0)[rank - 1])


def calibrate(
    training: DateTallies, *, window_dates: int, gap_dates: int, alpha: float = ALPHA
) -> DriftCalibration:
    """Compare disjoint windows of training, and those half-way between, with the rest of it.

    `gap_dates` dates on either side of a window, which share bars with it, are of neither. Each
    threshold is the greater of those of disjoint and of sliding windows. Raises nothing.
    """
    return calibrate_all(training, [window_dates], gap_dates=gap_dates, alpha=alpha)[0]


def calibrate_all(
    training: DateTallies, windows: Sequence[int], *, gap_dates: int, alpha: float = ALPHA
) -> tuple[DriftCalibration, ...]:
    """`calibrate` for each number of dates."""
    sums = training.running()
    return tuple(_calibrate(sums, dates, gap_dates, alpha) for dates in windows)


def _calibrate(
    training: RunningSums, window_dates: int, gap_dates: int, alpha: float
) -> DriftCalibration:
    starts = _starts(training.dates, window_dates)
    measures, ks, psi = _compare_windows(training, starts, window_dates, gap_dates)
    scores = _left_out_scores(measures)
    return DriftCalibration(
        window_dates=window_dates,
        gap_dates=gap_dates,
        alpha=alpha,
        windows=len(scores[::2]),
        sliding_windows=len(scores),
        means=measures[::2].sum(axis=0) / max(len(scores[::2]), 1),
        scales=_deviations(measures[::2]),
        threshold=float(_higher_threshold(scores, alpha)),
        ks_thresholds=_higher_threshold(ks, alpha),
        psi_thresholds=_higher_threshold(psi, alpha),
        scores=scores[::2],
        reason=_reason(measures[::2], scores[::2], window_dates, gap_dates, alpha),
    )


def scores_of(measures: Floats, means: Floats, scales: Floats) -> Floats:
    """(windows,): the greatest of all features' measures (windows, features, 4) on one scale."""
    if not measures.shape[1]:
        return np.zeros(len(measures))
    return np.asarray(((measures - means) / scales).reshape(len(measures), -1).max(axis=1))


def _starts(dates: int, window_dates: int) -> Indices:
    """Of disjoint windows at the even places, and of those half-way between at the odd."""
    first = np.arange(0, max(dates - window_dates + 1, 0), window_dates)
    both = np.stack([first, first + window_dates // 2], axis=1).ravel()
    return both[both + window_dates <= dates]


def _compare_windows(
    training: RunningSums, starts: Indices, window_dates: int, gap_dates: int
) -> tuple[Floats, Floats, Floats]:
    """All measures, and each feature's two statistics with thresholds of their own."""
    dates, ends = training.dates, starts + window_dates
    windows = training.sums(starts, ends)
    around = training.sums(np.maximum(starts - gap_dates, 0), np.minimum(ends + gap_dates, dates))
    rest = training.sums(np.array([0]), np.array([dates])).less(around)
    measures = window_measures(windows, rest)
    return measures, measures[:, :, MEASURES.index("distribution")], psi_on_grid(windows, rest)


def _left_out_scores(measures: Floats) -> Floats:
    """The score of each window by the means and scales of the disjoint ones apart from it.

    Its own values would make it less remarkable than a live window is.
    """
    disjoint = measures[::2]
    sums, squares = disjoint.sum(axis=0), np.square(disjoint).sum(axis=0)
    scores = np.zeros(len(measures))
    for index in range(len(measures)):
        apart = disjoint[index // 2 : (index + 1) // 2 + 1]
        count = len(disjoint) - len(apart)
        if count < 2:
            continue
        mean = (sums - apart.sum(axis=0)) / count
        variance = (squares - np.square(apart).sum(axis=0)) / count - mean * mean
        scale = _at_least(np.sqrt(np.maximum(variance, 0.0) * count / (count - 1)))
        scores[index] = scores_of(measures[index : index + 1], mean, scale)[0]
    return scores


def _deviations(disjoint: Floats) -> Floats:
    return _at_least(disjoint.std(axis=0, ddof=1) if len(disjoint) > 1 else disjoint.sum(axis=0))


def _at_least(deviations: Floats) -> Floats:
    return np.asarray(np.maximum(deviations, _LEAST_SCALE))


def _higher_threshold(values: Floats, alpha: float) -> Floats:
    disjoint, every = (rank_threshold(each, alpha=alpha) for each in (values[::2], values))
    return np.asarray(np.maximum(disjoint, every))


def _reason(
    disjoint: Floats, scores: Floats, window_dates: int, gap_dates: int, alpha: float
) -> str | None:
    if len(scores) < FEWEST_WINDOWS:
        return TOO_FEW_WINDOWS
    from scipy.special import bdtrc  # noqa: PLC0415 - slow to load, and a training alone needs it

    years = np.arange(len(scores)) * window_dates // _DATES_A_YEAR
    passed = _passed_by_years(disjoint, scores, years, alpha)
    # Windows closer than the gap share bars: so many neighbours are worth one.
    alike = max(math.ceil(gap_dates / window_dates), 1)
    chance = bdtrc(passed // alike - 1, len(scores) // alike, alpha) if passed >= alike else 1.0
    return PAST_DIFFERS if chance < _UNLIKE_YEARS else None


def _passed_by_years(disjoint: Floats, scores: Floats, years: Indices, alpha: float) -> int:
    """How many windows of single years, seen from all other years, pass the threshold of those."""
    passed = 0
    for year in np.unique(years):
        own, others = years == year, disjoint[years != year]
        if len(others) > 1:
            seen = scores_of(disjoint[own], others.mean(axis=0), _deviations(others))
            passed += int(np.sum(seen > rank_threshold(scores[~own], alpha=alpha)))
    return passed
