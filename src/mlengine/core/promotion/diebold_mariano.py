"""Whether one forecast has had the smaller loss, or only the better luck.

Diebold and Mariano (1995) with the small-sample correction of Harvey, Leybourne and Newbold
(1997): the mean loss difference over its standard error, against Student's t with n - 1 degrees.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from mlengine.core.arrays import Floats

# Below this share of the mean square a variance is the dust of rounding.
_DUST = 1e-20
_MOST_BLOCKS = 6


@dataclass(frozen=True)
class DieboldMariano:
    """One-sided: `p_value` is the chance of so large a mean difference if none were better.

    `statistic` and `p_value` are None where the differences don't vary, or where there are no
    more of them than steps ahead.
    """

    dates: int
    mean_difference: float
    statistic: float | None
    p_value: float | None
    kernel: str
    lags: int


def diebold_mariano(
    differences: Floats, *, steps_ahead: int, degrees: int | None = None
) -> DieboldMariano:
    """Test whether the mean of `differences` (dates,), in the order of time, is above zero.

    Forecasts made `steps_ahead` dates before their outcome have errors that depend on each other
    over steps_ahead - 1 dates, so the long-run variance counts those autocovariances in full (the
    rectangular kernel). Such a sum can fall to zero or below; then it is made again with Bartlett's
    weights over 2 * steps_ahead lags, which can't. `differences` may hold no NaN. `degrees` of
    freedom are n - 1 by default; see `degrees_of_blocks`.

    >>> result = diebold_mariano(np.array([0.3, 0.1, 0.2, 0.4, 0.0]), steps_ahead=1)
    >>> round(result.statistic, 3), round(result.p_value, 4)
    (2.828, 0.0237)
    """
    dates, mean = len(differences), float(np.mean(differences))
    kernel, lags = "rectangular", steps_ahead - 1
    variance = _long_run_variance(differences, np.ones(lags))
    smallest = _DUST * float(np.mean(np.square(differences)))
    if not variance > smallest:
        kernel, lags = "bartlett", 2 * steps_ahead
        variance = _long_run_variance(differences, 1.0 - np.arange(1, lags + 1) / (lags + 1))
    if dates <= steps_ahead or not variance > smallest:
        return DieboldMariano(dates, mean, None, None, kernel, lags)
    statistic = small_sample_factor(dates, steps_ahead) * mean / math.sqrt(variance / dates)
    p_value = float(stdtr(dates - 1 if degrees is None else degrees, -statistic))
    return DieboldMariano(dates, mean, statistic, p_value, kernel, lags)


def degrees_of_blocks(dates: int, *, steps_ahead: int) -> int:
    """One less than the blocks of twice `steps_ahead` that the dates hold, six at most.

    Losses are large for months where volatility is, and those of neighbouring dates err together:
    so many independent spans know the variance, and not so many dates. With ten blocks equal models
    pass in 6.5 % of cases at a level of 5 % where labels of five dates overlap, with six in 4.2 %.

    >>> degrees_of_blocks(504, steps_ahead=5), degrees_of_blocks(250, steps_ahead=20)
    (5, 5)
    """
    return max(1, min(_MOST_BLOCKS, dates // (2 * steps_ahead)) - 1)


def small_sample_factor(dates: int, steps_ahead: int) -> float:
    """sqrt((n + 1 - 2h + h(h - 1)/n) / n): Harvey, Leybourne and Newbold (1997), formula 9."""
    n, h = dates, steps_ahead
    return math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)


def _long_run_variance(values: Floats, weights: Floats) -> float:
    """The autocovariance at lag 0, and twice those at lag 1, 2, ... by their weights."""
    centred = values - values.mean()
    lags = min(len(weights), len(values) - 1)
    covariances = [float(centred[lag:] @ centred[: len(centred) - lag]) for lag in range(lags + 1)]
    return (covariances[0] + 2.0 * float(weights[:lags] @ covariances[1:])) / len(values)
