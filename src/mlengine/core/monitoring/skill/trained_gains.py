"""What the daily gains in training say of their mean."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.skill.decline import OldValues

# Of the level so much is left to a training whose mean lies above the highest one that is tried.
TAIL = 0.001
_FEWEST_BLOCKS = 5


class BlockMean(NamedTuple):
    """Of some gains: `error` is the standard error of their mean by the means of blocks."""

    mean: float
    error: float
    blocks: int
    deviation: float


def block_mean(gains: Floats, steps_ahead: int) -> BlockMean | None:
    """None of fewer dates than five blocks, and where the gains (dates,) don't vary."""
    length = max(2 * steps_ahead, 20)
    blocks = len(gains) // length
    deviation = float(np.std(gains, ddof=1)) if len(gains) > 1 else 0.0
    if blocks < _FEWEST_BLOCKS or not 0.0 < deviation < math.inf:
        return None
    means = gains[-blocks * length :].reshape(blocks, length).mean(axis=1)
    error = float(means.std(ddof=1)) / math.sqrt(blocks)
    return BlockMean(float(means.mean()), error, blocks, deviation)


def old_values(gains: Floats, found: BlockMean) -> OldValues:
    """As live gains are held against them."""
    error = max(found.error, found.deviation / math.sqrt(len(gains)))
    highest = found.mean + float(stdtrit(found.blocks - 1, 1.0 - TAIL)) * error
    return OldValues(gains, found.deviation, error, highest)
