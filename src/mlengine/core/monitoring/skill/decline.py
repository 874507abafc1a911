"""Evidence that the mean of a bounded value has declined since a first sample of it.

The hypothesis is that some number above zero is at least the mean of the old values, and at most
that of the new ones: that the mean has not declined. For each such number a gambler bets on the old
values that their mean is higher, and on the new ones that theirs is lower. At the one that lies
between the two his capital would not grow but by luck (Ville 1939), so that the least capital over
all numbers is an e-process for the hypothesis (Ramdas, Grunwald, Vovk and Shafer 2023,
"Game-theoretic statistics and safe anytime-valid inference", on universal inference). That old
means were lower at times, or new ones are higher, keeps it so. Against an interval of the old mean
it has two advantages: no error is left to the interval, and numbers at which both samples are
improbable are given up together.

Means lie on a grid. Capital on old values falls with the mean, that on new ones rises, so that
between two means it is not less than the first of the upper times the second of the lower one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.skill.betting import CLIP_DEVIATIONS

# Cells between zero and the highest mean that the old values allow.
CELLS = 64
# Old values are bet on as if their mean were so many standard errors above the hypothesis.
_STANDARD_ERRORS = (1.0, 2.0)
# New ones as if theirs had fallen by so much of what it falls without any skill.
_FALLS = (1.0, 0.5)
_MOST_STAKE = 0.95
_MOST_LOG, _MOST_DATES = 300.0, 100_000


@dataclass(frozen=True)
class DeclineTest:
    """`old` are capitals on the old values by stream and cell, as logarithms, in one row each.

    Cells lie between 0 and `highest`; `stakes` are those on the new values. A value beyond `reach`
    counts as if it lay there.
    """

    highest: float
    reach: float
    stakes: tuple[float, ...]
    old: tuple[tuple[float, ...], ...]

    @property
    def streams(self) -> int:
        return len(self.old)

    @property
    def lowest_means(self) -> Floats:
        """(cells,): where each cell begins."""
        return np.linspace(0.0, self.highest, CELLS + 1)[:-1]

    @property
    def nothing(self) -> tuple[float, ...]:
        """The log capitals before the first new value: streams x stakes x cells."""
        return (0.0,) * (self.streams * len(self.stakes) * CELLS)

    def log_growth(self, values: Floats) -> Floats:
        """(dates, stakes, cells): what each new value adds to the log capitals of its stream."""
        clipped = np.clip(values, -self.reach, self.reach)
        distance = clipped[:, None, None] - self.lowest_means
        return np.asarray(np.log1p(-distance * np.array(self.stakes)[:, None]))

    def e_value(self, capitals: Floats) -> float:
        """The least over cells of the mean capital over streams and stakes."""
        shape = (self.streams, len(self.stakes), CELLS)
        new = np.exp(np.minimum(np.reshape(capitals, shape), _MOST_LOG)).mean(axis=1)
        return float((np.exp(np.array(self.old)) * new).mean(axis=0).min())

    def e_values(self, values: Floats) -> Floats:
        """(dates,): the e-value after each of some new values, which come in this order."""
        growth = self.log_growth(values)
        dates, streams = np.arange(len(values)), self.streams
        total = np.zeros((len(values), CELLS))
        for stream, old in enumerate(self.old):
            mine = np.cumsum(growth[stream::streams], axis=0)
            capital = np.exp(np.minimum(mine, _MOST_LOG)).mean(axis=1)
            # Before its first date a gambler has 1, and between its dates what it had.
            capital = np.vstack([np.ones((1, CELLS)), capital])
            new = capital[(dates + streams - stream) // streams]
            total += np.exp(np.array(old)) * new
        return np.asarray((total / streams).min(axis=1))

    def dates_needed(
        self, capitals: Floats, *, mean: float, deviation: float, level: float
    ) -> int | None:
        """How many more values of that mean it takes, about; None where they would never do."""
        stakes, distance = np.array(self.stakes)[:, None], self.lowest_means - mean
        spread = deviation**2 + np.square(distance)
        growth = stakes * distance - np.square(stakes) * spread / 2.0
        tiled = np.tile(growth, (self.streams, 1, 1)).ravel() / self.streams
        if self.e_value(capitals) >= level:
            return 0
        few, many = 0, 1
        while self.e_value(capitals + many * tiled) < level:
            few, many = many, 2 * many
            if many > _MOST_DATES:
                return None
        while many - few > 1:
            middle = (few + many) // 2
            enough = self.e_value(capitals + middle * tiled) >= level
            few, many = (few, middle) if enough else (middle, many)
        return many


@dataclass(frozen=True, eq=False)
class OldValues:
    """(dates,) in their order; `highest` is the highest mean that they allow.

    `error` is the standard error of their mean.
    """

    values: Floats
    deviation: float
    error: float
    highest: float

    @property
    def mean(self) -> float:
        """That is bet on: at least what can be told from zero."""
        return max(float(self.values.mean()), self.error)

    def capital(self, upper: Floats, *, stream: int, steps_ahead: int, reach: float) -> Floats:
        """(cells,): of gamblers on the dates of a stream that the mean is above `upper`."""
        dates = max(len(self.values) // steps_ahead, 1)
        most = _MOST_STAKE / (reach + float(upper[-1]))
        stakes = np.array(_STANDARD_ERRORS) / (math.sqrt(dates) * self.deviation)
        clipped = np.clip(self.values[stream::steps_ahead], -reach, reach)
        growth = np.log1p((clipped[:, None, None] - upper) * np.minimum(stakes, most)[:, None])
        return np.asarray(np.exp(growth.sum(axis=0)).mean(axis=0))


def decline_test(
    samples: Sequence[OldValues], *, steps_ahead: int, fall: float
) -> DeclineTest | None:
    """Of samples of old values; None where none allows a mean above zero.

    The mean of their capitals is one, too, that can't grow but by luck: the hypothesis is of all of
    them. Without skill the mean falls by `fall` times itself. Dates less than `steps_ahead` apart
    overlap: so many gamblers bet on every such date.
    """
    highest = max(each.highest for each in samples)
    if not highest > 0.0:
        return None
    reach = CLIP_DEVIATIONS * max(each.deviation for each in samples)
    falls = np.array([each.mean / each.deviation**2 for each in samples])
    wanted = fall * np.outer(falls, _FALLS).ravel()
    stakes = np.minimum(wanted, _MOST_STAKE / (reach + highest))
    upper = np.linspace(0.0, highest, CELLS + 1)[1:]
    rows = []
    for stream in range(steps_ahead):
        capitals = [
            each.capital(upper, stream=stream, steps_ahead=steps_ahead, reach=reach)
            for each in samples
        ]
        rows.append(tuple(np.log(np.mean(capitals, axis=0)).tolist()))
    return DeclineTest(highest, reach, tuple(stakes.tolist()), tuple(rows))
