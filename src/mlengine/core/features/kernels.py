"""Rolling kernels whose bits don't depend on where the history starts.

Polars' weighted `rolling_sum` and its `rolling_min` and `rolling_max` reduce each window afresh;
`rolling_mean`, `rolling_std` and `ewm_mean` carry a running state and are not used. Weighted
kernels panic on nulls: whatever feeds a kernel here is NaN where it is unknown, never null.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate

import polars as pl

NAN = math.nan


def lag(x: pl.Expr, *, bars: int) -> pl.Expr:
    """`x` of `bars` bars ago; NaN before the first bar."""
    return x.shift(bars, fill_value=NAN)


def past(x: pl.Expr, *, bars: int) -> pl.Expr:
    """`x` of `bars` bars ago; null before the first bar, so not for kernels, and cheaper."""
    return x.shift(bars)


def weighted_sum(x: pl.Expr, *, weights: Sequence[float]) -> pl.Expr:
    """Sum of the last `len(weights)` values times `weights`, oldest first; NaN if one is NaN.

    Null before the first full window: `kernel_input` makes it fit for another kernel.
    """
    return x.rolling_sum(len(weights), weights=list(weights))


def total(x: pl.Expr, *, bars: int, each: float = 1.0) -> pl.Expr:
    """`each` times the sum of the last `bars` values."""
    return weighted_sum(x, weights=[each] * bars)


def mean(x: pl.Expr, *, bars: int) -> pl.Expr:
    """The mean of the last `bars` values; null before the first full window.

    >>> pl.DataFrame({"x": [1.0, 2.0, 6.0]}).select(mean(pl.col("x"), bars=2)).to_series().to_list()
    [None, 1.5, 4.0]
    """
    return total(x, bars=bars) / bars


def highest(x: pl.Expr, *, bars: int) -> pl.Expr:
    """The maximum of the last `bars` values; NaN if one is NaN."""
    return x.rolling_max(bars)


def lowest(x: pl.Expr, *, bars: int) -> pl.Expr:
    """The minimum of the last `bars` values; NaN if one is NaN."""
    return x.rolling_min(bars)


def kernel_input(x: pl.Expr) -> pl.Expr:
    """`x`, the output of a kernel, made fit to feed another one: NaN for null."""
    return x.fill_null(NAN)


def change_ratio(new: pl.Expr, old: pl.Expr) -> pl.Expr:
    """(new − old)/old: unlike new/old − 1 it keeps all digits of a small change."""
    return (new - old) / old


def added(terms: Iterable[pl.Expr]) -> pl.Expr:
    """Sum of columns in one fixed order, as a shallow tree.

    Polars' `sum_horizontal` leaves the order to its threads, and so the last bits too.
    """
    level = list(terms)
    while len(level) > 1:
        pairs = [a + b for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[2 * len(pairs) :]
    return level[0]


def ema_weights(*, alpha: float, bars: int) -> list[float]:
    """Weights of an EMA cut off after `bars` bars, oldest first, summing to 1.

    >>> [round(weight, 3) for weight in ema_weights(alpha=0.5, bars=3)]
    [0.143, 0.286, 0.571]
    """
    decay = list(
        accumulate([1.0] + [1.0 - alpha] * (bars - 1), lambda product, factor: product * factor)
    )
    whole = math.fsum(decay)
    return [weight / whole for weight in reversed(decay)]


def convolved(outer: Sequence[float], inner: Sequence[float]) -> list[float]:
    """Weights of the `outer` average of the `inner` average, oldest first."""
    size = len(outer) + len(inner) - 1
    return [
        math.fsum(outer[i] * inner[k - i] for i in range(len(outer)) if 0 <= k - i < len(inner))
        for k in range(size)
    ]


def less(left: Sequence[float], right: Sequence[float]) -> list[float]:
    """Left − right, both ending at the newest bar; the shorter one is 0 before its first bar."""
    size = max(len(left), len(right))
    padded = [[0.0] * (size - len(side)) + list(side) for side in (left, right)]
    return [a - b for a, b in zip(*padded, strict=True)]


def difference_weights(weights: Sequence[float]) -> list[float]:
    """Weights on first differences that give the weighted sum of the values.

    For weights that sum to 0. On a price of 60,000 with noise 0.01 the values' own sum loses seven
    digits, the sum of their first differences none. One weight fewer than `weights`.
    """
    from_newest = list(accumulate(reversed(weights), lambda product, weight: product + weight))
    return from_newest[-2::-1]


def mean_gap_weights(*, bars: int) -> list[float]:
    """Weights on first differences that give x minus its mean of `bars` bars."""
    return [j / bars for j in range(1, bars)]


def slope_weights(*, bars: int) -> list[float]:
    """Weights on first differences that give the least-squares slope per bar of `bars` bars."""
    return [6 * j * (bars - j) / (bars * (bars**2 - 1)) for j in range(1, bars)]
