"""Drift of live values against a reference frozen at training.

Bins come from the reference alone, so that figures of two periods can be compared.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats, finite_or_none
from mlengine.core.monitoring.reference import ROWS_BEHIND

PREDICTION = "prediction"
_SMALLEST_SHARE = 1e-4


@dataclass(frozen=True)
class FeatureDrift:
    """`psi` and `ks` are null without enough values; `drifted` without a `threshold`."""

    feature: str
    psi: float | None
    ks: float | None
    threshold: float | None = None
    drifted: bool | None = None


@dataclass(frozen=True)
class DriftReport:
    """`status` is `insufficient_data` or `uncalibrated`; thresholds come with calibration."""

    status: str
    n_reference: int
    n_current: int
    features: tuple[FeatureDrift, ...]
    prediction_drift: FeatureDrift | None


def compare_distributions(
    reference: pl.DataFrame, current: pl.DataFrame, *, min_rows: int = 50
) -> DriftReport:
    """Compare each column of `reference`, a sketch or the rows themselves, with that of `current`.

    One row a distinct bar; their symbols and timestamps are passed over. Fewer than `min_rows` on
    either side is `insufficient_data`, with null figures, never zeros.
    """
    is_sketch = ROWS_BEHIND in reference.columns and reference.height > 0
    behind = int(reference[ROWS_BEHIND][0]) if is_sketch else reference.height
    enough = min(behind, current.height) >= min_rows
    drifts = {
        name: _column(name, reference, current) if enough else FeatureDrift(name, None, None)
        for name in reference.columns
        if name not in ("symbol", "timestamp", ROWS_BEHIND)
    }
    prediction = drifts.pop(PREDICTION, None)
    return DriftReport(
        status="uncalibrated" if enough else "insufficient_data",
        n_reference=behind,
        n_current=current.height,
        features=tuple(drifts.values()),
        prediction_drift=prediction,
    )


def quantile_edges(values: Floats, *, bins: int = 10) -> Floats:
    """Ascending inner edges of at most `bins` bins of equal mass; a value on an edge lies below.

    With no more than `bins` distinct values, each has a bin of its own. NaN and infinities are
    left out; no values give no edges.
    """
    finite = values[np.isfinite(values)]
    distinct = np.unique(finite)
    if len(distinct) <= bins:
        return np.unique(np.concatenate([distinct, np.nextafter(distinct, -np.inf)]))
    return np.unique(np.quantile(finite, np.arange(1, bins) / bins))


def psi(reference: Floats, current: Floats, edges: Floats) -> float:
    """Population stability index over the bins of `edges` and one bin of undefined values.

    Sum of (c - r) ln(c / r) over the shares, each at least 1e-4. NaN when a side is empty.

    >>> reference = np.arange(100.0)
    >>> edges = quantile_edges(reference)
    >>> psi(reference, reference, edges)
    0.0
    >>> round(psi(reference, reference + 20.0, edges), 2)
    1.6
    """
    if not len(reference) or not len(current):
        return math.nan
    expected, drifts = _shares(reference, edges), _shares(current, edges)
    return float(np.sum((drifts - expected) * np.log(drifts / expected)))


def ks(reference: Floats, current: Floats) -> float:
    """The two-sample Kolmogorov-Smirnov statistic over finite values; NaN when a side has none.

    >>> ks(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 5.0, 6.0]))
    0.5
    """
    ours, theirs = (np.sort(side[np.isfinite(side)]) for side in (reference, current))
    if not len(ours) or not len(theirs):
        return math.nan
    points = np.concatenate([ours, theirs])
    below_ours = np.searchsorted(ours, points, side="right") / len(ours)
    below_theirs = np.searchsorted(theirs, points, side="right") / len(theirs)
    return float(np.max(np.abs(below_ours - below_theirs)))


def _shares(values: Floats, edges: Floats) -> Floats:
    finite = values[np.isfinite(values)]
    counts = np.bincount(np.searchsorted(edges, finite, side="left"), minlength=len(edges) + 1)
    undefined = len(values) - len(finite)
    return np.maximum(np.append(counts, undefined) / len(values), _SMALLEST_SHARE)


def _column(name: str, reference: pl.DataFrame, current: pl.DataFrame) -> FeatureDrift:
    if name not in current.columns:
        return FeatureDrift(name, None, None)
    ours, theirs = _values(reference, name), _values(current, name)
    index, statistic = psi(ours, theirs, quantile_edges(ours)), ks(ours, theirs)
    return FeatureDrift(name, finite_or_none(index), finite_or_none(statistic))


def _values(frame: pl.DataFrame, name: str) -> Floats:
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
