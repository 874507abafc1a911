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

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.drift.calibration import FEWEST_WINDOWS
from mlengine.core.monitoring.drift.reference import DriftReference
from mlengine.core.monitoring.drift.tallies import DateTallies
from mlengine.core.monitoring.drift.window_measures import window_measures

BLOCK_DATES = 20
DATES_A_YEAR = 252
# The bet pays kappa p^(kappa - 1), 9.5 for the most extreme rank of ten years.
_KAPPA = 0.25
# As many blocks as ten years have; older ones leave the ranks.
_KEPT_BLOCKS = 126
_FOUND = 5


@dataclass(frozen=True)
class DriftAlarmState:
    """All that is kept between looks: numbers, JSON as they are.

    `e_value` is the statistic. Dates are those of the rows; 0 before there is one. `through` is the
    last date that was counted, `restarted` the date from which the present evidence counts, which
    is moved on while there is less than when it began. `alarmed` is the date of the last alarm,
    `alarmed_since` where its evidence began, `alarm_value` what it had come to, and `found` the
    columns of its last block that lie furthest off; the statistic restarts with it. `scores` are
    those of the newest blocks.
    """

    e_value: float = 0.0
    through: int = 0
    restarted: int = 0
    alarms: int = 0
    alarmed: int = 0
    alarmed_since: int = 0
    alarm_value: float = 0.0
    found: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()


def alert_level(*, years: float = 10.0) -> float:
    """What `e_value` must pass so that a false alarm comes once in `years`, on average, or less.

    >>> alert_level(years=10)
    126.0
    """
    return years * DATES_A_YEAR / BLOCK_DATES


def false_alarm_years(level: float) -> float:
    """In how many years a false alarm comes once, on average, or less: undoes `alert_level`.

    >>> false_alarm_years(126.0)
    10.0
    """
    return level * BLOCK_DATES / DATES_A_YEAR


def look(
    state: DriftAlarmState, reference: DriftReference, live: DateTallies, *, level: float
) -> Iterator[DriftAlarmState]:
    """Count the whole blocks of `live` after `state.through`; gives the state after each.

    Nothing is counted where `reference` has too few windows of `BLOCK_DATES` dates; years that
    differ are no hindrance, as ranks learn. The newest dates wait for their block. Dates up to an
    earlier look's last are passed over, so that they may be given again. A block with less than
    half the rows that training had is passed over too. Raises nothing, whatever the rows are.
    """
    calibration = reference.calibration(BLOCK_DATES)
    counted = int(np.searchsorted(live.dates, state.through, side="right"))
    first = np.arange(counted, len(live.dates) - BLOCK_DATES + 1, BLOCK_DATES)
    if calibration is None or calibration.windows < FEWEST_WINDOWS or not len(first):
        return
    blocks = live.sums(first, first + BLOCK_DATES)
    measures = window_measures(blocks, reference.total)
    scores = ((measures - calibration.means) / calibration.scales).max(axis=2)
    last = live.dates[first + BLOCK_DATES - 1]
    for score, rows, begins, ends in zip(scores, blocks.rows, blocks.dates, last, strict=True):
        dates = int(begins), int(ends)
        if reference.covers(float(rows), BLOCK_DATES):
            state = add_block(state, score, calibration.scores, dates=dates, level=level)
        else:
            state = replace(state, through=dates[1])
        yield state


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
    restarted = dates[0] if state.e_value < 1.0 else state.restarted
    scores = (*state.scores, score)[-_KEPT_BLOCKS:]
    state = replace(state, e_value=value, through=dates[1], restarted=restarted, scores=scores)
    return state if value < level else _alarmed(state, by_feature)


def _alarmed(state: DriftAlarmState, by_feature: Floats) -> DriftAlarmState:
    furthest = np.argsort(-by_feature, kind="stable")[:_FOUND]
    return replace(
        state,
        e_value=0.0,
        alarms=state.alarms + 1,
        alarmed=state.through,
        alarmed_since=state.restarted,
        alarm_value=state.e_value,
        found=tuple(furthest.tolist()),
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
