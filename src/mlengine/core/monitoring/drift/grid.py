"""The grid that rows are counted on: bins of equal mass among the rows of training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mlengine.core.arrays import Flags, Floats, Ints
from mlengine.core.monitoring.drift.distances import SortedSample

GRID_BINS = 40


@dataclass(frozen=True)
class FeatureGrid:
    """Of each feature its inner `edges` (features, 39), its `least` and its `greatest` value.

    A feature without a finite value has edges of zero and no range: all are outside. Equal edges
    are kept: a bin between them stays empty.
    """

    names: tuple[str, ...]
    edges: Floats
    least: Floats
    greatest: Floats

    @classmethod
    def of(cls, names: tuple[str, ...], samples: Iterable[SortedSample]) -> FeatureGrid:
        """The grid of these values, one sorted sample a name."""
        shares = np.arange(1, GRID_BINS) / GRID_BINS
        edges = np.zeros((len(names), GRID_BINS - 1))
        least, greatest = np.full(len(names), np.inf), np.full(len(names), -np.inf)
        for index, sample in enumerate(samples):
            if len(sample.values):
                edges[index] = sample.values[(shares * len(sample.values)).astype(np.int64)]
                least[index], greatest[index] = sample.values[0], sample.values[-1]
        return cls(names, edges, least, greatest)

    def joined(self, other: FeatureGrid) -> FeatureGrid:
        """The features of both, one after the other."""
        parts = ("edges", "least", "greatest")
        both = [np.concatenate([getattr(self, part), getattr(other, part)]) for part in parts]
        return FeatureGrid((*self.names, *other.names), *both)

    def bins_of(self, feature: int, values: Floats) -> Ints:
        """The bin of each finite value of one feature; a value on an edge lies below it."""
        return np.searchsorted(self.edges[feature], values, side="left")

    def is_outside(self, feature: int, values: Floats) -> Flags:
        """Which values of one feature lie beyond all of training."""
        outside: Flags = (values < self.least[feature]) | (values > self.greatest[feature])
        return outside
