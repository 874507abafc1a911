"""Whether a model still has the skill that it had when it was judged.

The value of a date is the mean over symbols of the baseline's log-loss less the model's. The
holdout gives an interval of its mean; `lost` is evidence that the mean lies below the lower end,
`proven` that it is above zero. Both hold at any time, however often one looks. Where labels are
`h` bars long, evidence counts that has stood for `h` dates: a stop may be chosen by halves of
outcomes that are still to come (Henzi and Ziegel 2022, "Valid sequential inference on probability
forecast performance", and its correction; Choe and Ramdas 2023, section 4.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from scipy.special import stdtrit

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.skill.betting import STAKES, Bet, e_values

SkillStatus: TypeAlias = Literal["proven", "lost", "undecided"]
# Half of 5 % for luck in what comes, the other half is the holdout's own for its lower end.
ALPHA = 0.05
_FEWEST_BLOCKS = 5


@dataclass(frozen=True)
class SkillTerms:
    """What the holdout says of the daily gain: its mean and interval, in nats, and its deviation.

    `lower` and `upper` hold 95 % by blocks of dates. `steps_ahead` is the horizon in dates.
    """

    mean: float
    lower: float
    upper: float
    deviation: float
    steps_ahead: int

    @property
    def bets(self) -> tuple[Bet, Bet]:
        """Against the skill that was found, and on any skill at all."""
        return Bet(self.lower, self.deviation, -1), Bet(0.0, self.deviation, 1)


@dataclass(frozen=True)
class SkillState:
    """All that is kept of the dates so far: log capitals (streams x stakes), in one row each.

    `lost_for` and `proven_for` count the dates since the evidence has stood above its level.
    """

    dates: int
    against: tuple[float, ...]
    in_favour: tuple[float, ...]
    lost_for: int = 0
    proven_for: int = 0
    lost: bool = False
    proven: bool = False


@dataclass(frozen=True)
class SkillEvidence:
    """`lost_e_value` and `proven_e_value` are what 1 was made of, against the level's 1 / alpha.

    `lost_p_value` and `proven_p_value` hold at any time (Ville). `dates_to_lose` and
    `dates_to_prove` are how many more dates it takes, about, if the model has no skill at all, or
    that of the holdout; None where that would never do.
    """

    status: SkillStatus
    dates: int
    lost_e_value: float
    proven_e_value: float
    lost_p_value: float
    proven_p_value: float
    dates_to_lose: int | None
    dates_to_prove: int | None


def skill_terms(holdout_gains: Floats, *, steps_ahead: int) -> SkillTerms | None:
    """Of the daily gains (dates,) on the holdout, in the order of time, without NaN.

    The interval is of the means of blocks of at least twenty dates and twice `steps_ahead`, by
    Student's t. None of fewer dates than five blocks, and where the gains don't vary.
    """
    length = max(2 * steps_ahead, 20)
    blocks = len(holdout_gains) // length
    deviation = float(np.std(holdout_gains, ddof=1)) if len(holdout_gains) > 1 else 0.0
    if blocks < _FEWEST_BLOCKS or not 0.0 < deviation < math.inf:
        return None
    means = holdout_gains[-blocks * length :].reshape(blocks, length).mean(axis=1)
    mean, error = float(means.mean()), float(means.std(ddof=1)) / math.sqrt(blocks)
    half = float(stdtrit(blocks - 1, 0.975)) * error
    return SkillTerms(mean, mean - half, mean + half, deviation, steps_ahead)


def start_evidence(terms: SkillTerms) -> SkillState:
    """Before the first date."""
    nothing = (0.0,) * (terms.steps_ahead * len(STAKES))
    return SkillState(0, nothing, nothing)


def add_date(
    state: SkillState, gain: float, terms: SkillTerms, *, alpha: float = ALPHA
) -> SkillState:
    """One more date whose outcomes are known; a gain that is not finite leaves the state as it is.

    Dates come once each, in their order. `lost` and `proven` stay once said.
    """
    if not math.isfinite(gain):
        return state
    stream, stakes = state.dates % terms.steps_ahead, len(STAKES)
    capitals = []
    for bet, row in zip(terms.bets, (state.against, state.in_favour), strict=True):
        capital = np.array(row)
        capital[stream * stakes : (stream + 1) * stakes] += bet.log_growth(np.array([gain]))[0]
        capitals.append(capital)
    lost_for, proven_for = (
        since + 1 if _e_value(capital, terms) >= 1.0 / alpha else 0
        for capital, since in zip(capitals, (state.lost_for, state.proven_for), strict=True)
    )
    return replace(
        state,
        dates=state.dates + 1,
        against=tuple(capitals[0].tolist()),
        in_favour=tuple(capitals[1].tolist()),
        lost_for=lost_for,
        proven_for=proven_for,
        lost=state.lost or lost_for >= terms.steps_ahead,
        proven=state.proven or proven_for >= terms.steps_ahead,
    )


def skill_evidence(state: SkillState, terms: SkillTerms, *, alpha: float = ALPHA) -> SkillEvidence:
    """What the dates so far say; `lost` outweighs an earlier `proven`."""
    lost, proven = (_e_value(np.array(row), terms) for row in (state.against, state.in_favour))
    return SkillEvidence(
        status="lost" if state.lost else "proven" if state.proven else "undecided",
        dates=state.dates,
        lost_e_value=lost,
        proven_e_value=proven,
        lost_p_value=min(1.0 / lost, 1.0),
        proven_p_value=min(1.0 / proven, 1.0),
        dates_to_lose=_dates_needed(terms.lower, lost, terms, alpha),
        dates_to_prove=_dates_needed(terms.mean, proven, terms, alpha),
    )


def dates_needed(distance: float, terms: SkillTerms, *, alpha: float = ALPHA) -> int | None:
    """How many dates decide, about, when the mean lies `distance` nats beyond what is bet against.

    The best stake grows by half the square of the distance in deviations a date (Kelly 1956), and
    the capital is divided among streams and stakes before. None where there is no distance.
    """
    return _dates_needed(distance, 1.0, terms, alpha)


def _dates_needed(distance: float, e_value: float, terms: SkillTerms, alpha: float) -> int | None:
    stake = min(max(distance, 0.0) / terms.deviation, STAKES[-1])
    growth = stake * distance / terms.deviation - stake * stake / 2.0
    if growth <= 0.0:
        return None
    missing = math.log(len(STAKES) / alpha) - math.log(max(e_value, 1e-300))
    return max(math.ceil(missing * terms.steps_ahead / growth), 0)


def _e_value(log_capital: Floats, terms: SkillTerms) -> float:
    return float(e_values(log_capital.reshape(terms.steps_ahead, len(STAKES))))
