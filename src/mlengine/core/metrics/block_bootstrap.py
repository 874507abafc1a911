"""Intervals by a circular bootstrap over blocks of consecutive session dates with all their rows.

A draw is a row of whole numbers: how often each date is in it. Every statistic is a function of
such weights, so nothing is copied, and a date always brings all its rows (Politis and Romano
1992, "A circular block-resampling procedure for stationary data"). Blocks of rows would take a
common move of several symbols for several moves.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator
from scipy.special import stdtrit

from mlengine.core.arrays import Floats, Indices, Moments
from mlengine.core.evaluation import Bootstrap
from mlengine.core.metrics.session_dates import session_dates

DRAWS = 1_000
FEWEST_BLOCKS, MOST_BLOCKS = 5, 8
FEWEST_BARS_A_BLOCK = 20
LEVEL = 0.95
_NORMAL_QUANTILE = 1.959963984540054
# Where more draws than this have no value, the interval would be about the others only.
_MOST_UNDEFINED = 0.05


@dataclass(frozen=True)
class BlockDraws:
    """`weights` is (draws, time stamps); `blocks` is how many blocks the test part holds."""

    weights: Floats
    blocks: int

    def interval(
        self, value: float, draws: Floats, *, level: float = LEVEL
    ) -> tuple[float | None, float | None]:
        """Around `value`, whose `draws` are given; both null as for `confidence_interval`.

        The percentiles' distances from the value, wider by `widening`.
        """
        low, high = confidence_interval(draws)
        if low is None or high is None:
            return None, None
        factor = widening(self.blocks, level=level)
        return value - factor * max(value - low, 0.0), value + factor * max(high - value, 0.0)


def widening(blocks: int, *, level: float = LEVEL) -> float:
    """By how much an interval of so many blocks is wider than its 95 % percentiles.

    t(k - 1) of `level` over 1.96, as k blocks tell little of their own spread, and over
    sqrt(1 - 1/k), by which the mean of drawn blocks varies too little.

    >>> round(widening(8), 3), round(widening(5), 3)
    (1.29, 1.584)
    """
    quantile = float(stdtrit(blocks - 1, (1.0 + level) / 2.0))
    return quantile / _NORMAL_QUANTILE / math.sqrt(1.0 - 1.0 / blocks)


def block_bootstrap_config(
    dates: int, *, label_span_dates: int, seed: int, bars_a_date: float = 1.0
) -> Bootstrap:
    """Blocks of two label spans in session dates, of 20 bars a symbol, or of an eighth of `dates`.

    Whichever is longest: labels overlap, scores are slow, and the skill of a model changes with a
    volatility that stays high or low for months, which shorter blocks would take for certainty.
    """
    by_bars = math.ceil(FEWEST_BARS_A_BLOCK / bars_a_date)
    length = max(2 * label_span_dates, by_bars, dates // MOST_BLOCKS)
    return Bootstrap(length, DRAWS, seed, LEVEL)


def draw_blocks(timestamps: Moments, bootstrap: Bootstrap) -> BlockDraws:
    """Draws of the session dates of `timestamps` (the distinct ones, ascending)."""
    dates, date_of_stamp = np.unique(session_dates(timestamps), return_inverse=True)
    weights = draw_weights(len(dates), bootstrap)
    return BlockDraws(weights[:, date_of_stamp], len(dates) // bootstrap.block_dates)


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
