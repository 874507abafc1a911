"""Distances between two samples of one feature, each sorted once.

PSI, Kolmogorov-Smirnov, Wasserstein and Jensen-Shannon need the order of the values and no more. A
reference is sorted when it is stored, so that a comparison costs one sort of the live rows. The
sorted values may be all that were trained on, or the evenly spaced ones of a sketch.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats, Indices

_SMALLEST_SHARE = 1e-4
_BINS = 10
_ALL_BUT_SIGN = np.int64(2**63 - 1)
_INFINITY = np.array([math.inf]).view(np.int64)[0]
_MINUS_INFINITY = np.array([-math.inf]).view(np.int64)[0] ^ _ALL_BUT_SIGN
# So many columns are taken out of rows at once: their values lie side by side.
_BLOCK = 16


@dataclass(frozen=True)
class SortedSample:
    """The finite values of a feature, ascending, and the number of all its rows."""

    values: Floats
    rows: int

    @property
    def centre(self) -> float:
        """The upper median, 0 without values."""
        return float(self.values[len(self.values) // 2]) if len(self.values) else 0.0

    @cached_property
    def sums(self) -> Floats:
        """From the left, of the values less `centre`, so that a high level costs no digit."""
        sums = np.empty(len(self.values) + 1)
        sums[0] = 0.0
        np.subtract(self.values, self.centre, out=sums[1:])
        return np.cumsum(sums, out=sums)

    @property
    def null_share(self) -> float:
        """The share of rows that are NaN or infinite; NaN without rows."""
        return 1.0 - len(self.values) / self.rows if self.rows else math.nan


@dataclass(frozen=True)
class FeatureDistances:
    """NaN where a side has no finite value; `psi` then still counts undefined rows as a bin.

    `wasserstein` is in standard deviations of the reference, `jensen_shannon` the distance (a
    square root) in nats. `out_of_range_share` is that of the live rows outside the reference's
    least and greatest value.
    """

    psi: float
    ks: float
    wasserstein: float
    jensen_shannon: float
    null_share: float
    out_of_range_share: float


def sort_columns(rows: Floats) -> tuple[SortedSample, ...]:
    """Each column of `rows` (rows, features) by itself; NaN and infinities are undefined."""
    blocks = (rows[:, at : at + _BLOCK].T for at in range(0, rows.shape[1], _BLOCK))
    return tuple(
        _sort(column) for block in blocks for column in np.array(block, dtype=np.float64, order="C")
    )


def sort_column(column: Floats) -> SortedSample:
    """One column alone, which stays as it is."""
    return _sort(np.array(column, dtype=np.float64, order="C"))


def _sort(column: Floats) -> SortedSample:
    """Of a column that is nobody else's.

    Polars sorts integers in a third of the time that NumPy takes for floats.
    """
    keys = pl.Series(_flipped(column.view(np.int64))).sort(multithreaded=False).to_numpy()
    # NaN lies beyond the infinities, on either side by its sign.
    first = np.searchsorted(keys, _MINUS_INFINITY, side="right")
    last = np.searchsorted(keys, _INFINITY, side="left")
    finite = _flipped(keys[first:last].copy()).view(np.float64)
    return SortedSample(finite, len(column))


def _flipped(bits: Indices) -> Indices:
    """The bits of floats as integers of their order, and back; in place."""
    bits ^= (bits >> 63) & _ALL_BUT_SIGN
    return bits


def distances(reference: SortedSample, current: SortedSample) -> FeatureDistances:
    """All distances of one feature; `reference` gives the bins, so that periods compare.

    PSI and Jensen-Shannon are over ten bins of equal mass and one of undefined values, each share
    at least 1e-4 for PSI; a value on an edge lies below it. Raises nothing, whatever is undefined.

    >>> first, second = sort_columns(np.array([[1.0, 3.0], [2.0, 4.0], [3.0, 5.0], [4.0, 6.0]]))
    >>> found = distances(first, second)
    >>> found.ks, round(found.wasserstein, 3), found.out_of_range_share
    (0.5, 1.789, 0.5)
    """
    ks, area = ks_and_area(reference, current)
    expected, shares = _bin_shares(reference, current)
    return FeatureDistances(
        psi=_psi(expected, shares),
        ks=ks,
        wasserstein=area / _deviation(reference),
        jensen_shannon=jensen_shannon(expected, shares),
        null_share=current.null_share,
        out_of_range_share=_out_of_range(reference, current),
    )


def jensen_shannon(expected: Floats, shares: Floats) -> float:
    """The square root of the Jensen-Shannon divergence in nats (Endres and Schindelin 2003)."""
    middle = (expected + shares) / 2.0
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [
            np.where(side > 0.0, side * np.log(side / middle), 0.0) for side in (expected, shares)
        ]
    return math.sqrt(max(float(terms[0].sum() + terms[1].sum()) / 2.0, 0.0))


def _psi(expected: Floats, shares: Floats) -> float:
    kept, present = (np.maximum(side, _SMALLEST_SHARE) for side in (expected, shares))
    return float(np.sum((present - kept) * np.log(present / kept)))


def _bin_shares(reference: SortedSample, current: SortedSample) -> tuple[Floats, Floats]:
    """Both samples' shares in the bins of the reference, undefined rows last."""
    edges = quantile_edges(reference.values)
    return _shares(reference, edges), _shares(current, edges)


def quantile_edges(ascending: Floats, *, bins: int = _BINS) -> Floats:
    """Inner edges of at most `bins` bins of equal mass; few distinct values have a bin each."""
    if not len(ascending):
        return ascending
    distinct = ascending[np.append(True, ascending[1:] != ascending[:-1])]
    if len(distinct) <= bins:
        return np.unique(np.concatenate([distinct, np.nextafter(distinct, -np.inf)]))
    at = np.arange(1, bins) / bins * (len(ascending) - 1)
    below = at.astype(np.int64)
    low, high = ascending[below], ascending[below + 1]
    return np.unique(low + (high - low) * (at - below))


def _shares(sample: SortedSample, edges: Floats) -> Floats:
    cuts = np.searchsorted(sample.values, edges, side="right")
    undefined = sample.rows - len(sample.values)
    counts = np.diff(np.concatenate([[0], cuts, [len(sample.values)]]))
    if not sample.rows:
        return np.full(len(counts) + 1, math.nan)
    return np.append(counts, undefined) / sample.rows


def _deviation(reference: SortedSample) -> float:
    """The standard deviation, NaN without values; that of a constant is its rounding, at least."""
    values = reference.values
    if not len(values):
        return math.nan
    least = max(abs(float(values[0])), abs(float(values[-1]))) * 1e-12
    return max(float(np.std(values)), least, 1e-300)


def _out_of_range(reference: SortedSample, current: SortedSample) -> float:
    ours, theirs = reference.values, current.values
    if not len(ours) or not len(theirs):
        return math.nan
    below = int(np.searchsorted(theirs, ours[0], side="left"))
    above = len(theirs) - int(np.searchsorted(theirs, ours[-1], side="right"))
    return (below + above) / current.rows


def wasserstein(reference: SortedSample, current: SortedSample) -> float:
    """The mean distance that the one's mass is moved to make the other; NaN where a side is empty.

    >>> first, second = sort_columns(np.array([[0.0, 1.0], [2.0, 3.0]]))
    >>> wasserstein(first, second)
    1.0
    """
    return ks_and_area(reference, current)[1]


def ks_and_area(reference: SortedSample, current: SortedSample) -> tuple[float, float]:
    """The largest gap between both distribution functions, and the area between them.

    NaN where a side is empty.
    """
    few, many = sorted((reference, current), key=lambda sample: len(sample.values))
    if not len(few.values):
        return math.nan, math.nan
    below, upto = _places(few.values, many.values)
    return _largest_gap(few.values, len(many.values), below, upto), _area(few, many, upto)


def _places(few: Floats, many: Floats) -> tuple[Indices, Indices]:
    """How many of `many` are less than each of `few`, and how many are no greater."""
    below = np.searchsorted(many, few, side="left")
    tied = np.flatnonzero(many[np.minimum(below, len(many) - 1)] == few)
    if not len(tied):
        return below, below
    upto = below.copy()
    upto[tied] = np.searchsorted(many, few[tied], side="right")
    return below, upto


def _largest_gap(few: Floats, many: int, below: Indices, upto: Indices) -> float:
    """Between jumps of one function the other only rises: both sides of its jumps are enough."""
    differs = few[1:] != few[:-1]
    first, last = np.append(True, differs), np.append(differs, True)
    steps = np.arange(len(few) + 1) / len(few)
    before = np.abs(below / many - steps[:-1])[first]
    after = np.abs(upto / many - steps[1:])[last]
    return float(max(before.max(), after.max()))


def _area(few: SortedSample, many: SortedSample, upto: Indices) -> float:
    """The integral over u of |F^-1(u) - G^-1(u)|, Wasserstein's distance of order one.

    Where `few` has one quantile, those of `many` rise past it once, at `upto`.
    """
    ends = np.linspace(0.0, len(many.values), len(few.values) + 1, dtype=np.float64)
    low, high = ends[:-1], ends[1:]
    middle: Floats = np.clip(upto, low, high).astype(np.float64)
    values = few.values - many.centre
    falls = values * (middle - low) - (_sum_to(many, middle) - _sum_to(many, low))
    rises = _sum_to(many, high) - _sum_to(many, middle) - values * (high - middle)
    return max(float(np.sum(falls + rises)) / len(many.values), 0.0)


def _sum_to(sample: SortedSample, position: Floats) -> Floats:
    """The sum of the first values less the centre, of which the last may count in part."""
    whole = np.minimum(position.astype(np.int64), len(sample.values) - 1)
    return np.asarray(
        sample.sums[whole] + (position - whole) * (sample.values[whole] - sample.centre)
    )
