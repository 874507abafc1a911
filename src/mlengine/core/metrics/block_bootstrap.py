"""Intervals by a circular bootstrap over blocks of consecutive dates with all their symbols.

A draw is a row of whole numbers: how often each date is in it. Every statistic is a function of
such weights, so nothing is copied, and a date always brings all its rows (Politis and Romano
1992, "A circular block-resampling procedure for stationary data"). Blocks of rows would take a
common move of several symbols for several moves.
"""

import math

import numpy as np
from numpy.random import PCG64, Generator

from mlengine.core.arrays import Floats, Indices
from mlengine.core.evaluation import Bootstrap

DRAWS = 1_000
# Few blocks know little of their own spread: the interval of five lies above the truth in 6 to 9 %
# of cases where 2.5 % are meant, that of fewer more often still (benchmarks/verdicts.py intervals).
FEWEST_BLOCKS = 5
LEVEL = 0.95
# Where more draws than this have no value, the interval would be about the others only.
_MOST_UNDEFINED = 0.05


def block_bootstrap_config(*, horizon_bars: int, seed: int) -> Bootstrap:
    """Blocks of max(2h, 20) dates: labels h bars long overlap, and each block holds two."""
    return Bootstrap(max(2 * horizon_bars, 20), DRAWS, seed, LEVEL)


def draw_weights(dates: int, bootstrap: Bootstrap) -> Floats:
    """(draws, dates): how often each date is drawn; each row sums to `dates`.

    Blocks begin at any date and go on at the first date after the last; the last block of a draw
    is cut to fit. There are no draws of fewer dates than five blocks hold.
    """
    length = bootstrap.block_dates
    if dates < FEWEST_BLOCKS * length:
        return np.empty((0, dates))
    blocks = math.ceil(dates / length)
    lengths = np.full(blocks, length)
    lengths[-1] = dates - length * (blocks - 1)
    # Named, so that a seed means the same draws whatever numpy's default will be.
    starts = Generator(PCG64(bootstrap.seed)).integers(0, dates, (bootstrap.draws, blocks))
    return _covered(starts, starts + lengths, dates)


def _covered(starts: Indices, ends: Indices, dates: int) -> Floats:
    """How many of each row's spans [start, end) cover each date, of a circle of `dates`."""
    row = np.arange(len(starts))[:, None] * (2 * dates)
    size = len(starts) * 2 * dates
    steps = np.bincount((row + starts).ravel(), minlength=size).astype(np.float64)
    steps -= np.bincount((row + ends).ravel(), minlength=size)
    covered = np.cumsum(steps.reshape(len(starts), 2 * dates), axis=1)
    return covered[:, :dates] + covered[:, dates:]


def weighted_sums(weights: Floats, of_dates: Floats) -> Floats:
    """(k, dates) weights times (dates,) or (dates, n) values.

    Not by BLAS, whose last bits may change with its threads, as the manifest's then would.
    """
    return np.asarray(np.einsum("ij,j...->i...", weights, of_dates), dtype=np.float64)


def confidence_interval(
    draws: Floats, *, level: float = LEVEL
) -> tuple[float | None, float | None]:
    """The percentile interval; none without draws, or where over a twentieth are undefined."""
    defined = draws[np.isfinite(draws)]
    if not len(defined) or len(defined) < (1.0 - _MOST_UNDEFINED) * len(draws):
        return None, None
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return float(low), float(high)
