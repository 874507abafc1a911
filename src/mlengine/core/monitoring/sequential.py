"""A drift alarm that may be looked at every day for ever, with a known time between false ones.

Each block of twenty dates gets the score of `drift.calibration`, and a conformal p-value: its rank
among the blocks of training and those that came since (Vovk, Nouretdinov and Gammerman 2003,
"Testing exchangeability on-line"; Vovk 2021, "Testing randomness online"). A p-value is turned into
a bet that pays where ranks are extreme. The capitals of gamblers of whom one begins at each block
add up to the statistic of Shiryaev and Roberts: if nothing changes, its mean is no more than the
number of blocks, so that it takes `level` blocks at least, on average, until it passes `level`
(Vovk et al. 2021, "Retrain or not retrain", section 3; Shin, Ramdas and Rinaldo 2023,
"E-detectors"). Why blocks: neighbouring dates share nearly all bars of a feature, so that their
ranks say the same thing again and again. Where volatility comes in clusters, blocks of ten dates
still do: 12 to 15 % of years alarm where 10 % are meant, and of blocks of twenty 8 %
(benchmarks/monitoring_power.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.drift.calibration import FEWEST_WINDOWS
from mlengine.core.monitoring.drift.check import DriftReference
from mlengine.core.monitoring.drift.tallies import DateTallies, PanelRows, tally
from mlengine.core.monitoring.drift.window_measures import window_measures

BLOCK_DATES = 20
DATES_A_YEAR = 252
# The bet pays kappa p^(kappa - 1), 9.5 for the most extreme rank of ten years.
_KAPPA = 0.25
# As many blocks as ten years have; older ones leave the ranks.
_KEPT_BLOCKS = 126


@dataclass(frozen=True)
class DriftAlarmState:
    """All that is kept between looks: numbers, JSON as they are.

    `e_value` is the statistic. Dates are those of the rows; 0 before there is one. `through` is the
    last date that was counted, `restarted` the date from which the present evidence counts, which
    is moved on while there is less than when it began. `alarmed` is the date of the last alarm and
    `found` the column that it found; the statistic restarts with it. `scores` are those of the
    newest blocks.
    """

    e_value: float = 0.0
    through: int = 0
    restarted: int = 0
    alarms: int = 0
    alarmed: int = 0
    found: int = -1
    scores: tuple[float, ...] = ()


def alert_level(*, years: float = 10.0) -> float:
    """What `e_value` must pass so that a false alarm comes once in `years`, on average, or less.

    >>> alert_level(years=10)
    126.0
    """
    return years * DATES_A_YEAR / BLOCK_DATES


def look(
    state: DriftAlarmState, reference: DriftReference, live: PanelRows, *, level: float
) -> DriftAlarmState:
    """Count the whole blocks of `live` after `state.through`; the same state without any.

    `reference` is calibrated for windows of `BLOCK_DATES` dates, and nothing is counted where it
    has too few of them; years that differ are no hindrance, as ranks learn. The newest dates wait
    for their block. Dates up to an earlier look's last are passed over, so that rows may be given
    again; give those of the last such date, at least, which values of the next may repeat. Raises
    nothing, whatever the rows are.
    """
    if reference.calibration.windows < FEWEST_WINDOWS:
        return state
    tallies = tally(live, reference.edges)
    counted = int(np.searchsorted(tallies.dates, state.through, side="right"))
    first = np.arange(counted, len(tallies.dates) - BLOCK_DATES + 1, BLOCK_DATES)
    if not len(first):
        return state
    blocks = tallies.sums(first, first + BLOCK_DATES)
    for block, begins, ends in zip(
        _scores_by_feature(reference, blocks),
        tallies.dates[first],
        tallies.dates[first + BLOCK_DATES - 1],
        strict=True,
    ):
        state = add_block(
            state, block, reference.calibration.scores, dates=(int(begins), int(ends)), level=level
        )
    return state


def add_block(
    state: DriftAlarmState,
    by_feature: Floats,
    trained: Floats,
    *,
    dates: tuple[int, int],
    level: float,
) -> DriftAlarmState:
    """One more block: its score `by_feature` (features,), of which the greatest counts.

    `trained` are the scores of the blocks of training, `dates` the first and last of the block.
    """
    score = float(by_feature.max()) if len(by_feature) else 0.0
    payoff = bet_on(conformal_p_value(score, np.append(trained, state.scores)))
    value = (state.e_value + 1.0) * payoff
    alarm = value >= level
    found = int(by_feature.argmax()) if alarm else state.found
    return replace(
        state,
        e_value=0.0 if alarm else value,
        through=dates[1],
        restarted=dates[0] if state.e_value < 1.0 else state.restarted,
        alarms=state.alarms + alarm,
        alarmed=dates[1] if alarm else state.alarmed,
        found=found,
        scores=(*state.scores, score)[-_KEPT_BLOCKS:],
    )


def conformal_p_value(score: float, earlier: Floats) -> float:
    """The share of scores, its own among them, that are as great; ties count in full.

    >>> conformal_p_value(5.0, np.array([1.0, 2.0, 9.0]))
    0.5
    """
    return float(1 + np.count_nonzero(earlier >= score)) / (len(earlier) + 1)


def bet_on(p_value: float) -> float:
    """What 1 becomes; the mean over uniform p-values is 1.

    >>> bet_on(1.0)
    0.25
    """
    return float(_KAPPA * p_value ** (_KAPPA - 1.0))


def _scores_by_feature(reference: DriftReference, blocks: DateTallies) -> Floats:
    """(blocks, features), whose maximum over features is the score."""
    calibration = reference.calibration
    measures = window_measures(blocks, reference.total)
    return np.asarray(((measures - calibration.means) / calibration.scales).max(axis=2))
