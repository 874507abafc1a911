"""Evidently's drift scores of numerical columns, digit for digit, for who moves from it or to it.

Evidently 0.7 takes bins of equal width over the range of both samples together (Sturges' rule), or
one bin a value where the reference has at most twenty; its Kolmogorov-Smirnov score is a p-value,
and its thresholds are rules of thumb. Overlapping market features pass them nearly always: a score
here is a figure, and no verdict.
"""

import math
from dataclasses import dataclass

import numpy as np

from mlengine.core.arrays import Floats, Indices
from mlengine.core.monitoring.drift.distances import SortedSample, jensen_shannon, ks_and_area

_MOST_CATEGORIES = 20
# Of more values SciPy takes the limiting distribution.
_MOST_EXACT = 10_000
_LEAST_NORM = 0.001


@dataclass(frozen=True)
class EvidentlyScores:
    """What `psi`, `ks`, `wasserstein` and `jensenshannon` of Evidently 0.7 give, as `score`."""

    psi: float
    ks_p_value: float
    wasserstein: float
    jensen_shannon: float


def evidently_scores(reference: SortedSample, current: SortedSample) -> EvidentlyScores:
    """All four scores of one feature over its finite values; NaN where a side has none.

    Equal to Evidently's within 1e-12 (tests/golden/evidently).
    """
    ours, theirs = reference.values, current.values
    if not len(ours) or not len(theirs):
        return EvidentlyScores(math.nan, math.nan, math.nan, math.nan)
    expected, shares = _bin_shares(ours, theirs)
    ks, area = ks_and_area(reference, current)
    norm = max(float(np.std(ours)), _LEAST_NORM)
    kept, present = _without_zeros(expected), _without_zeros(shares)
    return EvidentlyScores(
        psi=float(np.sum((kept - present) * np.log(kept / present))),
        ks_p_value=_ks_p_value(ks, ours, theirs),
        wasserstein=area / norm,
        jensen_shannon=jensen_shannon(expected / expected.sum(), shares / shares.sum()),
    )


def _bin_shares(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    if 1 + np.count_nonzero(ours[1:] != ours[:-1]) > _MOST_CATEGORIES:
        edges = _sturges_edges(ours, theirs)
        counts = [_histogram(side, edges) for side in (ours, theirs)]
    else:
        values, index = np.unique(np.concatenate([ours, theirs]), return_inverse=True)
        parts = index[: len(ours)], index[len(ours) :]
        counts = [np.bincount(part, minlength=len(values)) for part in parts]
    return counts[0] / len(ours), counts[1] / len(theirs)


def _sturges_edges(ours: Floats, theirs: Floats) -> Floats:
    """As `numpy.histogram_bin_edges` makes them of both together, from their ends alone."""
    first, last = min(ours[0], theirs[0]), max(ours[-1], theirs[-1])
    width = (last - first) / (np.log2(len(ours) + len(theirs)) + 1.0)
    bins = int(np.ceil((last - first) / width)) if width else 1
    return np.linspace(first, last, bins + 1)


def _histogram(ascending: Floats, edges: Floats) -> Indices:
    """As `numpy.histogram` counts: the last bin holds its right end."""
    cuts = np.searchsorted(ascending, edges, side="left")
    cuts[-1] = np.searchsorted(ascending, edges[-1], side="right")
    return np.diff(cuts)


def _ks_p_value(statistic: float, ours: Floats, theirs: Floats) -> float:
    """As `scipy.stats.ks_2samp` gives it, which for many values sorts them all again."""
    from scipy.stats import ks_2samp, kstwo  # noqa: PLC0415 - as slow as all else that a start loads

    few, many = sorted((len(ours), len(theirs)))
    if many <= _MOST_EXACT:
        return float(ks_2samp(ours, theirs).pvalue)
    rows = round(float(many) * few / (many + few))
    return float(np.clip(kstwo.sf(statistic, rows), 0.0, 1.0))


def _without_zeros(shares: Floats) -> Floats:
    """Empty bins get 1e-4, or a millionth of the smallest share where that is no larger."""
    least = float(shares[shares > 0.0].min())
    return np.where(shares > 0.0, shares, least / 10**6 if least <= 1e-4 else 1e-4)
