"""Betting against a mean, date by date: evidence that may be looked at after every one of them.

A gambler starts with 1 and bets that a bounded value lies on one side of `mean`. Were that not so,
his capital would not grow but by luck: at no time, however often one looks, is it above 1 / alpha
with a chance over alpha (Ville 1939). That makes it an e-process (Waudby-Smith and Ramdas 2024,
"Estimating means of bounded random variables by betting"; Choe and Ramdas 2023, "Comparing
sequential forecasters", for differences of losses). Small and large bets are mixed, since what pays
best depends on the size of the change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlengine.core.arrays import Floats

# Beyond this many standard deviations a value counts as if it lay there: bets need a bound.
CLIP_DEVIATIONS = 6.0
# Stakes a standard deviation. Each pays best where the mean is off by so many deviations.
STAKES = (0.02, 0.04, 0.08, 0.15)


@dataclass(frozen=True)
class Bet:
    """That the mean of values with this `deviation` is above `mean`, or below if `side` is -1."""

    mean: float
    deviation: float
    side: int

    def log_growth(self, values: Floats) -> Floats:
        """(dates, stakes): the logarithm of what each stake's capital is multiplied by.

        Values are clipped to six deviations, and stakes kept where no loss takes everything.
        """
        reach = CLIP_DEVIATIONS * self.deviation
        clipped = np.clip(values, -reach, reach) - self.mean
        most = 0.95 / (reach + abs(self.mean))
        stakes = np.minimum(np.array(STAKES) / self.deviation, most)
        return np.asarray(np.log1p(self.side * clipped[:, None] * stakes))


def interleave(log_growth: Floats, *, steps_ahead: int) -> Floats:
    """(dates, streams, stakes): the log capital of `steps_ahead` gamblers after each date.

    The outcomes of dates less than `steps_ahead` apart overlap; each gambler bets at every
    `steps_ahead`-th date only, so that he knows the last outcome before he bets again.
    """
    dates, stakes = log_growth.shape
    spread = np.zeros((dates, steps_ahead, stakes))
    spread[np.arange(dates), np.arange(dates) % steps_ahead] = log_growth
    return np.asarray(np.cumsum(spread, axis=0))


def e_values(log_capital: Floats) -> Floats:
    """The mean capital over streams and stakes, which are the last two axes."""
    return np.asarray(np.exp(log_capital).mean(axis=(-2, -1)))
