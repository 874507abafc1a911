"""Whether a row is unlike all that a model was trained on: it then answers by extrapolation.

Two figures: the share of features beyond the least and greatest value of training, and the
Mahalanobis distance of the standardised row. Both limits are ranks among training rows that the
ranges and the covariance had not seen, by halves of alternate blocks of dates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mlengine.core.arrays import Floats, Indices
from mlengine.core.monitoring.drift.calibration import rank_threshold
from mlengine.core.monitoring.drift.grid import FeatureGrid
from mlengine.core.monitoring.drift.tallies import Panel

# As large a share of training rows is novel, at most, at each level.
NOVELTY_LEVELS = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
# Neighbouring dates share bars: a half has so many dates in a row.
_BLOCK_DATES = 128
_MOST_ROWS = 50_000
# A value counts so many deviations, at most, so that a heavy tail does not decide alone.
_MOST_DEVIATIONS = 8.0
# Of the mean variance, added to each: features that are sums of others have no inverse.
_RIDGE = 0.05
_TENTHS = np.array([0.1, 0.5, 0.9])
_DEVIATIONS_BETWEEN_TENTHS = 2.563


@dataclass(frozen=True)
class RowRange:
    """What rows are measured by; all (features,), and `whiten` (features, features)."""

    least: Floats
    greatest: Floats
    centre: Floats
    scale: Floats
    whiten: Floats

    def distances(self, rows: Floats) -> Floats:
        """The mean squares of rows (…, features), whitened; what is undefined lies at the centre.

        About 1 for rows like those of training.
        """
        white = self.deviations(rows) @ self.whiten
        return np.asarray((white * white).mean(axis=-1))

    def deviations(self, rows: Floats) -> Floats:
        """From the centre, in scales, limited; 0 where undefined."""
        found = (rows - self.centre) / self.scale
        found[np.isnan(found)] = 0.0
        np.minimum(found, _MOST_DEVIATIONS, out=found)
        return np.maximum(found, -_MOST_DEVIATIONS, out=found)

    def outside_shares(self, rows: Floats) -> Floats:
        """The shares of features of (…, features) beyond the range; the undefined are not."""
        outside = (rows < self.least) | (rows > self.greatest)
        return np.asarray(outside.mean(axis=-1))


@dataclass(frozen=True)
class NoveltyReference:
    """The range of training, and the limits (levels,) of both figures at NOVELTY_LEVELS.

    `columns` are the places of the watched features in a vector.
    """

    columns: Indices
    range: RowRange
    distances: Floats
    outside_shares: Floats

    def is_novel(self, vector: Floats, *, level: float) -> bool:
        """Whether `vector` is beyond a limit of the greatest level that is no more than `level`.

        The same bits give the same answer. Never at a level below all.
        """
        limits = self._limits(level)
        if limits is None:
            return False
        share, distance = limits
        row, within = vector[self.columns], self.range
        outside = np.count_nonzero(row < within.least) + np.count_nonzero(row > within.greatest)
        if outside > share * len(row):
            return True
        white = within.deviations(row).dot(within.whiten)
        return float(white.dot(white)) > distance * len(row)

    def _limits(self, level: float) -> tuple[float, float] | None:
        for each, share, distance in self._by_level:
            if each <= level:
                return share, distance
        return None

    @cached_property
    def _by_level(self) -> list[tuple[float, float, float]]:
        shares, distances = self.outside_shares.tolist(), self.distances.tolist()
        return list(zip(NOVELTY_LEVELS, shares, distances, strict=True))


def build_novelty(rows: Panel, grid: FeatureGrid, columns: Indices) -> NoveltyReference:
    """From rows of training, of the features of `grid`, whose range is that of all; raises nothing.

    `columns` are their places in a vector. Each of the two figures is beyond its limit at half the
    level. Where there are too few rows for a level, its limits are infinite. Of many rows every
    so-manieth counts.
    """
    every = -(-len(rows.dates) // _MOST_ROWS) or 1
    values = rows.every(every)
    halves = (np.unique(rows.dates, return_inverse=True)[1][::every] // _BLOCK_DATES) % 2
    distances, shares = [], []
    for half in (0, 1):
        apart, own = _range(values[halves != half]), values[halves == half]
        distances.append(apart.distances(own))
        shares.append(apart.outside_shares(own))
    return NoveltyReference(
        columns,
        replace(_range(values), least=grid.least, greatest=grid.greatest),
        _limits_of(np.concatenate(distances)),
        _limits_of(np.concatenate(shares)),
    )


def _limits_of(figures: Floats) -> Floats:
    return np.array([float(rank_threshold(figures, alpha=level / 2)) for level in NOVELTY_LEVELS])


def _range(rows: Floats) -> RowRange:
    features = rows.shape[1]
    least, greatest = np.full(features, np.inf), np.full(features, -np.inf)
    centre, scale = np.zeros(features), np.ones(features)
    for at, column in enumerate(np.ascontiguousarray(rows.T)):
        values = np.sort(column[np.isfinite(column)])
        if len(values):
            least[at], greatest[at] = values[0], values[-1]
            low, centre[at], high = values[(len(values) * _TENTHS).astype(np.int64)]
            scale[at] = _spread(low, high, values)
    unwhitened = RowRange(least, greatest, centre, scale, np.eye(features))
    return replace(unwhitened, whiten=_whitening(unwhitened.deviations(rows)))


def _spread(low: float, high: float, values: Floats) -> float:
    """A normal's deviation between its first and ninth tenth; of a spike with tails, the whole."""
    spread = float(high - low) / _DEVIATIONS_BETWEEN_TENTHS
    return spread or float(values.std()) or 1.0


def _whitening(deviations: Floats) -> Floats:
    """The inverse root of the covariance, (features, features)."""
    count, features = deviations.shape
    if not count:
        return np.eye(features)
    covariance = deviations.T @ deviations / count
    ridge = _RIDGE * max(float(np.trace(covariance)) / max(features, 1), 1e-9)
    root = np.linalg.cholesky(covariance + ridge * np.eye(features))
    return np.asarray(np.linalg.inv(root).T)
