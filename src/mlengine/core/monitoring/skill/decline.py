"""Whether the mean of a value has declined since a first sample of it: looked at after every date.

The shortfall is the sum, over the new dates, of the old mean less the value. The claim stands at
the date on which it passes a line. This is the monitoring of a change in a mean (Chu, Stinchcombe
and White 1996, "Monitoring structural change"), in the closed-end form of Horvath, Huskova,
Kokoszka and Steinebach (2004, "Monitoring changes in linear models"): divided by 1 + k/m after k
new dates, where the old mean is of m, the shortfall is a Brownian motion at the time k / (k + m) as
long as the mean is what it was, the error of the old mean included. The line is straight at that
time, so that the chance of passing it before an end has a closed form (Siegmund 1985, "Sequential
analysis"). An end is what the power is owed to: at the last date the line lies 2.15 standard
errors away, where one look alone would have 1.75 at the same level, and evidence without an end 3.

Dates may overlap, and values vary with those before: only the sum's deviation over many dates
counts, which blocks of the old dates tell (`trained_gains.block_mean`). It is made larger as
Student's t is for so many blocks.

The level holds as far as that deviation does. Betting needs no estimate of it, but a gambler for
each old mean, and one for each of the dates that overlap, who then see little: even bets for a
deadline (Browne 1999, "Reaching goals by a deadline") found a twentieth of what is found here where
labels are five dates long and skill is weak.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.skill.betting import CLIP_DEVIATIONS
from mlengine.core.monitoring.skill.trained_gains import OldValues

# Five years of trading; then the claim is weighed anew.
HORIZON_DATES = 1260
# The chance of a claim without a cause in so many dates. Aimed below the 5 % that is promised: the
# deviation is an estimate, and large values come in spells.
AIMED = 0.04
# Where the line begins, and by how much it rises until the end, in deviations of the whole time. A
# level one, at 2.05, finds weak skill in one case of a hundred more, and takes a sixth longer.
START, RISE = 1.648042181750721, 0.5


def passing_chance(distance: float, rise: float, time: float) -> float:
    """Of a Brownian motion from 0, over a line that begins at `distance` and rises a unit of time.

    1 where it begins on the line or above.
    """
    if distance <= 0.0:
        return 1.0
    if time <= 0.0:
        return 0.0
    root, end = math.sqrt(time), distance + rise * time
    mirrored = math.exp(-2.0 * distance * rise) * ndtr((rise * time - distance) / root)
    return float(ndtr(-end / root) + mirrored)


@dataclass(frozen=True)
class DeclineTest:
    """Of values whose old mean is that of `dates` ones.

    `deviation` is that of a sum over many dates, a root of a date, with Student's correction. A
    value beyond `reach` counts as if it lay there.
    """

    mean: float
    deviation: float
    dates: int
    reach: float

    def shortfalls(self, values: Floats) -> Floats:
        """(dates,): what each new value lacks to the old mean."""
        return np.asarray(self.mean - np.clip(values, -self.reach, self.reach))

    def heights(self, counts: Floats) -> Floats:
        """Of the line after so many dates since it began."""
        rise = START / self.dates + RISE / (self.dates * self._end_time)
        return np.asarray(self._end_deviation * (START + rise * counts))

    def first_passed(self, values: Floats) -> int | None:
        """On which of some values, counted from 1, the line is passed first."""
        for begin in range(0, len(values), HORIZON_DATES):
            shortfall = np.cumsum(self.shortfalls(values[begin : begin + HORIZON_DATES]))
            counts = np.arange(1.0, len(shortfall) + 1.0)
            found = np.flatnonzero(shortfall >= self.heights(counts))
            if len(found):
                return begin + int(found[0]) + 1
        return None

    def chance(self, shortfall: float, count: int) -> float:
        """Of passing the line in what is left of its dates, after `count`, if nothing declined."""
        time = count / (count + self.dates) / self._end_time
        height = shortfall / (self._end_deviation * (1.0 + count / self.dates))
        return passing_chance(START + RISE * time - height, RISE, 1.0 - time)

    def dates_needed(self, shortfall: float, count: int, *, a_date: float) -> int | None:
        """How many more it takes, about, if each falls short by `a_date`.

        The line may have begun anew by then. None if its dates never do.
        """
        start, now, next_ = map(float, self.heights(np.array([0.0, count, count + 1.0])))
        nearing, left = a_date - (next_ - now), HORIZON_DATES - count
        if shortfall >= now:
            return 0
        if now - shortfall <= nearing * left:
            return math.ceil((now - shortfall) / nearing)
        return left + math.ceil(start / nearing) if start <= nearing * HORIZON_DATES else None

    @property
    def _end_time(self) -> float:
        """Where the time k / (k + m) ends."""
        return HORIZON_DATES / (HORIZON_DATES + self.dates)

    @property
    def _end_deviation(self) -> float:
        """Of the shortfall over 1 + k/m at that end."""
        return self.deviation * math.sqrt(self.dates * self._end_time)


def level_reached(highest: float) -> float:
    """The least chance of a claim at which the line would have been passed.

    `highest` is the largest share of its height that the shortfall has had.
    """
    reached = max(highest, 0.0)
    return passing_chance(reached * START, reached * RISE, 1.0)


def decline_test(samples: Sequence[OldValues]) -> DeclineTest | None:
    """By that sample whose mean has the least noise; None where it allows no mean above zero.

    Noise says nothing of the mean, so that to choose by it leaves the level as it is. Errors by
    blocks would not: the least one is the one that is told too low.
    """
    best = min(samples, key=lambda each: each.noise)
    if not best.highest > 0.0:
        return None
    reach = CLIP_DEVIATIONS * best.found.deviation
    correction = stdtrit(best.found.blocks - 1, 1.0 - AIMED / 2.0) / ndtri(1.0 - AIMED / 2.0)
    return DeclineTest(
        mean=float(np.clip(best.values, -reach, reach).mean()),
        deviation=float(correction) * best.found.error * math.sqrt(len(best.values)),
        dates=len(best.values),
        reach=reach,
    )
