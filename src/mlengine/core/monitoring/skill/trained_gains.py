"""What the daily gains in training say of their mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import fdtri, stdtrit

from mlengine.core.arrays import Floats

# The chance that a mean lies above the highest one that the gains are said to allow.
_TAIL = 0.001
_SHORTEST, _FEWEST_BLOCKS = 20, 5
# Gains know of each other for weeks where forecasts change slowly: of many dates blocks are longer.
_MOST_BLOCKS = 36
# Long blocks, and the chance that these say much more than short ones where they know no more.
_LONG_BLOCKS, _LUCK = 12, 0.02


class BlockMean(NamedTuple):
    """Of some gains: `error` is the standard error of their mean by the means of blocks."""

    mean: float
    error: float
    blocks: int
    deviation: float


@dataclass(frozen=True, eq=False)
class OldValues:
    """(dates,) in their order, without NaN, and their mean by blocks."""

    values: Floats
    found: BlockMean

    @property
    def noise(self) -> float:
        """The standard error of the mean if no date knew of another."""
        return self.found.deviation / math.sqrt(len(self.values))

    @property
    def highest(self) -> float:
        """The highest mean that they allow."""
        quantile = float(stdtrit(self.found.blocks - 1, 1.0 - _TAIL))
        return self.found.mean + quantile * self.found.error


def block_mean(gains: Floats, steps_ahead: int) -> BlockMean | None:
    """None of fewer dates than five blocks, and where the gains (dates,) don't vary.

    Blocks have at least twenty dates and twice `steps_ahead`, and of many dates there are about 36.
    Where skill comes and goes by months, twelve long blocks differ by more than that (by an F
    test), and tell the error. It is at least what it were if no date knew of another.
    """
    shortest = max(2 * steps_ahead, _SHORTEST)
    deviation = float(np.std(gains, ddof=1)) if len(gains) > 1 else 0.0
    if len(gains) < _FEWEST_BLOCKS * shortest or not 0.0 < deviation < math.inf:
        return None
    short, usual, long = (
        _by_blocks(gains, max(length, shortest), deviation)
        for length in (shortest, len(gains) // _MOST_BLOCKS, len(gains) // _LONG_BLOCKS)
    )
    much = fdtri(long.blocks - 1, short.blocks - 1, 1.0 - _LUCK)
    found = long if (long.error / short.error) ** 2 > much else usual
    return found._replace(error=max(found.error, deviation / math.sqrt(len(gains))))


def _by_blocks(gains: Floats, length: int, deviation: float) -> BlockMean:
    blocks = len(gains) // length
    means = gains[-blocks * length :].reshape(blocks, length).mean(axis=1)
    error = float(means.std(ddof=1)) * math.sqrt(length / len(gains))
    return BlockMean(float(gains.mean()), error, blocks, deviation)
