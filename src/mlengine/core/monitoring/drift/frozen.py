"""Features that stand still: nearly every symbol has the value of the date before, again and again.

A distribution that stops at one date looks like that date for weeks, and a window needs as long to
tell. That values repeat is seen at once. How many dates in a row a feature may do so is twice its
longest run in training, which for a continuous one is none.
"""

from __future__ import annotations

import numpy as np

from mlengine.core.arrays import Flags, Ints
from mlengine.core.monitoring.drift.tallies import DateTallies

# As large a share of the defined values as must repeat on a date.
_REPEATED_SHARE = 0.9
# Shorter runs are never told: two dates may be alike where a market was closed.
_SHORTEST_RUN = 3


def repeated_runs(tallies: DateTallies) -> Ints:
    """(dates, features): for how many dates in a row, up to each, nearly all values repeat.

    A date on which a feature is defined nowhere ends its run.
    """
    repeated = _repeated(tallies)
    place = np.arange(1, len(repeated) + 1)[:, None]
    last_other = np.maximum.accumulate(np.where(repeated, 0, place), axis=0)
    return np.asarray(np.where(repeated, place - last_other, 0))


def longest_runs(tallies: DateTallies) -> Ints:
    """(features,): the longest of `repeated_runs`, 0 without dates."""
    return np.asarray(repeated_runs(tallies).max(axis=0, initial=0))


def told_from(longest: Ints) -> Ints:
    """(features,): the length from which a run is told, by the longest of training."""
    return np.asarray(np.maximum(2 * longest + 1, _SHORTEST_RUN))


def frozen(tallies: DateTallies, longest: Ints) -> Flags:
    """(features,): which stand still on the newest date of `tallies`, longer than they ever should.

    `longest` are those of training. Raises nothing; without dates nothing stands still.
    """
    runs = repeated_runs(tallies)[-1:]
    return np.asarray((runs >= told_from(longest)).any(axis=0))


def _repeated(tallies: DateTallies) -> Flags:
    defined = tallies.bins.sum(axis=2)
    return np.asarray((defined > 0.0) & (tallies.repeats >= _REPEATED_SHARE * defined))
