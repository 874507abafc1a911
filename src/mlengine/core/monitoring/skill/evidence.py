"""Whether a model still has the skill that it had when it was judged.

The value of a date is its gain (`outcomes.performance.daily_gains`): of chances the base rate's
log-loss less the model's, of expected returns their correlation with what came. `lost` is evidence
that its mean is lower than in training, on dates that its models had not seen: tests of the folds,
and the holdout. `proven` is evidence that it is above zero. Both hold however often one looks:
`proven` for ever, `lost` within five years (`decline.HORIZON_DATES`), after which it is weighed
anew, which finds far more of the skill that is gone. Models of earlier folds have learnt from less.
If they knew less, the mean of training is the lower for it, so that `lost` comes later, and no more
often without a cause.

Where labels are `h` bars long, `proven` must have stood for `h` dates: a stop may be chosen by
halves of outcomes that are still to come (Henzi and Ziegel 2022, "Valid sequential inference on
probability forecast performance", and its correction; Choe and Ramdas 2023, section 4.4). `lost`
needs no such rule: its level is the chance that the line is passed on any date at all, of sums
whose deviation has what overlapping labels do in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from scipy.special import stdtrit

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.skill.betting import STAKES, Bet, e_values
from mlengine.core.monitoring.skill.decline import (
    AIMED,
    HORIZON_DATES,
    DeclineTest,
    decline_test,
    level_reached,
)
from mlengine.core.monitoring.skill.trained_gains import OldValues, block_mean

SkillStatus: TypeAlias = Literal["proven", "lost", "undecided"]
ALPHA = 0.05


@dataclass(frozen=True)
class SkillTerms:
    """What training says of the daily gain: its mean, its interval and its deviation.

    `lower` and `upper` hold 95 % by blocks of dates. `steps_ahead` is the horizon in dates,
    `fall` by how many times itself the mean falls without skill.
    `decline` is None where the model can't have had any skill, which then can't be lost. `dates`
    are those that this rests on.
    """

    mean: float
    lower: float
    upper: float
    deviation: float
    steps_ahead: int
    decline: DeclineTest | None
    fall: float
    dates: int

    @property
    def bet(self) -> Bet:
        """On any skill at all."""
        return Bet(0.0, self.deviation, 1)


@dataclass(frozen=True)
class SkillState:
    """All that is kept of the dates so far.

    `in_favour` are the log capitals that there is skill, by stream, in one row; `proven_for` counts
    the dates since that evidence has stood above its level.

    `shortfall` is what the gains of the last `counted` dates lack to the mean of training, since
    the five years began that they are weighed in; `highest` the largest share of the line's height
    that it has had. All three stay as they were when skill is lost.
    """

    dates: int
    in_favour: tuple[float, ...]
    counted: int = 0
    shortfall: float = 0.0
    highest: float = 0.0
    proven_for: int = 0
    lost: bool = False
    proven: bool = False


@dataclass(frozen=True)
class SkillEvidence:
    """`lost_e_value` and `proven_e_value` are held against 20.

    `proven_e_value` is what 1 was made of by betting. `lost_e_value` is the chance that the line
    would be passed in what is left of five years if the skill is as it was, over 0.05: 0.8 at
    first, 20 once it is passed, 0 where training leaves no skill to lose.

    `proven_p_value` holds at any time (Ville), `lost_p_value` at any time of five years.
    `dates_to_lose` and `dates_to_prove` are how many more dates it takes, about, if its forecasts
    know nothing any more, or as much as in training; None where that would never do.
    """

    status: SkillStatus
    dates: int
    lost_e_value: float
    proven_e_value: float
    lost_p_value: float
    proven_p_value: float
    dates_to_lose: int | None
    dates_to_prove: int | None


def skill_terms(
    trained_gains: Floats, *, steps_ahead: int, fall: float = 2.0, holdout_dates: int = 0
) -> SkillTerms | None:
    """Of the daily gains (dates,) in training on unseen dates, in the order of time, without NaN.

    Forecasts that know nothing any more lose in log-loss what they gained before, which is a `fall`
    of 2; correlations fall to zero, by 1. The newest `holdout_dates` are of the candidate itself:
    `lost` rests on them alone where models of the folds are of another kind, so that their gains
    vary more than they add.

    The interval is of the means of blocks (`trained_gains.block_mean`), by Student's t. None where
    there are too few dates, and where the gains don't vary.
    """
    found = block_mean(trained_gains, steps_ahead)
    if found is None:
        return None
    samples = [OldValues(trained_gains, found)]
    if 0 < holdout_dates < len(trained_gains):
        newest = trained_gains[-holdout_dates:]
        of_candidate = block_mean(newest, steps_ahead)
        samples += [OldValues(newest, of_candidate)] if of_candidate else []
    mean, half = found.mean, float(stdtrit(found.blocks - 1, 0.975)) * found.error
    return SkillTerms(
        mean,
        mean - half,
        mean + half,
        found.deviation,
        steps_ahead,
        decline_test(samples),
        fall,
        len(trained_gains),
    )


def start_evidence(terms: SkillTerms) -> SkillState:
    """Before the first date."""
    return SkillState(0, (0.0,) * (terms.steps_ahead * len(STAKES)))


def add_date(state: SkillState, gain: float, terms: SkillTerms) -> SkillState:
    """One more date whose outcomes are known; a gain that is not finite leaves the state as it is.

    Dates come once each, in their order. `lost` and `proven` stay once said.
    """
    if not math.isfinite(gain):
        return state
    value, capital = np.array([gain]), np.array(state.in_favour)
    stream, width = state.dates % terms.steps_ahead, len(STAKES)
    capital[stream * width : (stream + 1) * width] += terms.bet.log_growth(value)[0]
    after = replace(state, dates=state.dates + 1, in_favour=tuple(capital.tolist()))
    if terms.decline and not state.lost:
        after = _weighed(after, value, terms.decline)
    proven_for = state.proven_for + 1 if _proven_e_value(after, terms) >= 1.0 / ALPHA else 0
    return replace(
        after,
        proven_for=proven_for,
        proven=state.proven or proven_for >= terms.steps_ahead,
    )


def _weighed(state: SkillState, value: Floats, decline: DeclineTest) -> SkillState:
    if state.counted == HORIZON_DATES:
        state = replace(state, counted=0, shortfall=0.0, highest=0.0)
    counted = state.counted + 1
    shortfall = state.shortfall + float(decline.shortfalls(value)[0])
    share = shortfall / float(decline.heights(np.array(float(counted))))
    highest = max(state.highest, share)
    return replace(
        state, counted=counted, shortfall=shortfall, highest=highest, lost=highest >= 1.0
    )


def skill_evidence(state: SkillState, terms: SkillTerms) -> SkillEvidence:
    """What the dates so far say; `lost` outweighs an earlier `proven`."""
    proven, decline = _proven_e_value(state, terms), terms.decline
    chance = decline.chance(state.shortfall, state.counted) if decline else 0.0
    return SkillEvidence(
        status="lost" if state.lost else "proven" if state.proven else "undecided",
        dates=state.dates,
        lost_e_value=chance / ALPHA,
        proven_e_value=proven,
        lost_p_value=min(level_reached(state.highest) * ALPHA / AIMED, 1.0),
        proven_p_value=min(1.0 / proven, 1.0),
        dates_to_lose=_dates_to_lose(state, terms),
        dates_to_prove=_dates_needed(terms.mean, proven, terms),
    )


def _dates_to_lose(state: SkillState, terms: SkillTerms) -> int | None:
    """As if they knew nothing any more."""
    if terms.decline is None:
        return None
    a_date = terms.fall * max(terms.mean, 0.0)
    return terms.decline.dates_needed(state.shortfall, state.counted, a_date=a_date)


def dates_needed(distance: float, terms: SkillTerms) -> int | None:
    """How many dates decide, about, when the mean lies `distance` beyond what is bet against.

    The best stake grows by half the square of the distance in deviations a date (Kelly 1956), and
    the capital is divided among streams and stakes before. None where there is no distance.
    """
    return _dates_needed(distance, 1.0, terms)


def first_lost(gains: Floats, terms: SkillTerms) -> int | None:
    """On which of some dates, counted from 1, `lost` is said first; None if it never is."""
    return terms.decline.first_passed(gains) if terms.decline else None


def _proven_e_value(state: SkillState, terms: SkillTerms) -> float:
    return float(e_values(np.array(state.in_favour).reshape(terms.steps_ahead, len(STAKES))))


def _dates_needed(distance: float, e_value: float, terms: SkillTerms) -> int | None:
    stake = min(max(distance, 0.0) / terms.deviation, STAKES[-1])
    growth = stake * distance / terms.deviation - stake * stake / 2.0
    if growth <= 0.0:
        return None
    missing = math.log(len(STAKES) / ALPHA) - math.log(max(e_value, 1e-300))
    return max(math.ceil(missing * terms.steps_ahead / growth), 0)
