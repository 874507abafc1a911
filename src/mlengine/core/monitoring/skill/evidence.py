"""Whether a model still has the skill that it had when it was judged.

The value of a date is its gain (`outcomes.performance.daily_gains`): of chances the base rate's
log-loss less the model's, of expected returns their correlation with what came. `lost` is evidence
that its mean is lower than in training, on dates that its models had not seen: tests of the folds,
and the holdout. `proven` is evidence that it is above zero. Both hold at any time, however often
one looks. Models of earlier folds have learnt from less. If they knew less, the mean of training is
the lower for it, so that `lost` comes later, and no more often without a cause.

Where labels are `h` bars long, evidence counts that has stood for `h` dates: a stop may be chosen
by halves of outcomes that are still to come (Henzi and Ziegel 2022, "Valid sequential inference on
probability forecast performance", and its correction; Choe and Ramdas 2023, section 4.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from scipy.special import stdtrit

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.skill.betting import STAKES, Bet, e_values
from mlengine.core.monitoring.skill.decline import DeclineTest, decline_test
from mlengine.core.monitoring.skill.trained_gains import TAIL, block_mean, old_values
from mlengine.core.serialization import OPTIONAL

SkillStatus: TypeAlias = Literal["proven", "lost", "undecided"]
ALPHA = 0.05


@dataclass(frozen=True)
class SkillTerms:
    """What training says of the daily gain: its mean, its interval and its deviation.

    `lower` and `upper` hold 95 % by blocks of dates. `steps_ahead` is the horizon in dates,
    `fall` by how many times itself the mean falls without skill.
    `decline` is None where the model can't have had any skill, which then can't be lost. `dates`
    are those that this rests on; 0 in what was kept when that was the holdout alone.
    """

    mean: float
    lower: float
    upper: float
    deviation: float
    steps_ahead: int
    decline: DeclineTest | None
    fall: float = 2.0
    dates: int = field(default=0, metadata=OPTIONAL)

    @property
    def bet(self) -> Bet:
        """On any skill at all."""
        return Bet(0.0, self.deviation, 1)


@dataclass(frozen=True)
class SkillState:
    """All that is kept of the dates so far: log capitals by stream, in one row each.

    `against` that the skill is as it was (see `DeclineTest`), `in_favour` that there is some.

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

    `lost_e_value` is 0 where training leaves no skill to lose.

    `lost_p_value` and `proven_p_value` hold at any time (Ville). `dates_to_lose` and
    `dates_to_prove` are how many more dates it takes, about, if its forecasts know nothing any
    more, or as much as in training; None where that would never do.
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
    they are a second sample for `lost`, should the models of the folds be of another kind.

    The interval is of the means of blocks of at least twenty dates and twice `steps_ahead`, by
    Student's t. None of fewer dates than five blocks, and where the gains don't vary.
    """
    found = block_mean(trained_gains, steps_ahead)
    if found is None:
        return None
    samples = [old_values(trained_gains, found)]
    if 0 < holdout_dates < len(trained_gains):
        newest = trained_gains[-holdout_dates:]
        of_candidate = block_mean(newest, steps_ahead)
        samples += [old_values(newest, of_candidate)] if of_candidate else []
    mean, half = found.mean, float(stdtrit(found.blocks - 1, 0.975)) * found.error
    return SkillTerms(
        mean,
        mean - half,
        mean + half,
        samples[0].deviation,
        steps_ahead,
        decline_test(samples, steps_ahead=steps_ahead, fall=fall),
        fall,
        len(trained_gains),
    )


def start_evidence(terms: SkillTerms) -> SkillState:
    """Before the first date."""
    against = terms.decline.nothing if terms.decline else ()
    return SkillState(0, against, (0.0,) * (terms.steps_ahead * len(STAKES)))


def add_date(
    state: SkillState, gain: float, terms: SkillTerms, *, alpha: float = ALPHA
) -> SkillState:
    """One more date whose outcomes are known; a gain that is not finite leaves the state as it is.

    Dates come once each, in their order. `lost` and `proven` stay once said.
    """
    if not math.isfinite(gain):
        return state
    stream = state.dates % terms.steps_ahead
    value = np.array([gain])
    growth = terms.decline.log_growth(value).ravel() if terms.decline else np.empty(0)
    against = _grown(state.against, growth, stream)
    in_favour = _grown(state.in_favour, terms.bet.log_growth(value)[0], stream)
    after = replace(state, dates=state.dates + 1, against=against, in_favour=in_favour)
    lost, proven = _e_values(after, terms)
    lost_for = state.lost_for + 1 if lost >= _lost_level(alpha) else 0
    proven_for = state.proven_for + 1 if proven >= 1.0 / alpha else 0
    return replace(
        after,
        lost_for=lost_for,
        proven_for=proven_for,
        lost=state.lost or lost_for >= terms.steps_ahead,
        proven=state.proven or proven_for >= terms.steps_ahead,
    )


def skill_evidence(state: SkillState, terms: SkillTerms, *, alpha: float = ALPHA) -> SkillEvidence:
    """What the dates so far say; `lost` outweighs an earlier `proven`."""
    lost, proven = _e_values(state, terms)
    return SkillEvidence(
        status="lost" if state.lost else "proven" if state.proven else "undecided",
        dates=state.dates,
        lost_e_value=lost,
        proven_e_value=proven,
        lost_p_value=min(1.0 / lost, 1.0) if lost else 1.0,
        proven_p_value=min(1.0 / proven, 1.0),
        dates_to_lose=_dates_to_lose(state, terms, alpha),
        dates_to_prove=_dates_needed(terms.mean, proven, terms, alpha),
    )


def _dates_to_lose(state: SkillState, terms: SkillTerms, alpha: float) -> int | None:
    """As if they knew nothing any more."""
    if terms.decline is None:
        return None
    return terms.decline.dates_needed(
        np.array(state.against),
        mean=(1.0 - terms.fall) * max(terms.mean, 0.0),
        deviation=terms.deviation,
        level=_lost_level(alpha),
    )


def dates_needed(distance: float, terms: SkillTerms, *, alpha: float = ALPHA) -> int | None:
    """How many dates decide, about, when the mean lies `distance` beyond what is bet against.

    The best stake grows by half the square of the distance in deviations a date (Kelly 1956), and
    the capital is divided among streams and stakes before. None where there is no distance.
    """
    return _dates_needed(distance, 1.0, terms, alpha)


def first_lost(gains: Floats, terms: SkillTerms, *, alpha: float = ALPHA) -> int | None:
    """On which of some dates, counted from 1, `lost` is said first; None if it never is."""
    if terms.decline is None:
        return None
    above = terms.decline.e_values(gains) >= _lost_level(alpha)
    run = np.convolve(above, np.ones(terms.steps_ahead))[: len(above)] >= terms.steps_ahead - 0.5
    found = np.flatnonzero(run)
    return int(found[0]) + 1 if len(found) else None


def _lost_level(alpha: float) -> float:
    return 1.0 / (alpha - TAIL)


def _grown(row: tuple[float, ...], growth: Floats, stream: int) -> tuple[float, ...]:
    capital, width = np.array(row), len(growth)
    capital[stream * width : (stream + 1) * width] += growth
    return tuple(capital.tolist())


def _e_values(state: SkillState, terms: SkillTerms) -> tuple[float, float]:
    """Against and in favour."""
    lost = terms.decline.e_value(np.array(state.against)) if terms.decline else 0.0
    rows = np.array(state.in_favour).reshape(terms.steps_ahead, len(STAKES))
    return lost, float(e_values(rows))


def _dates_needed(distance: float, e_value: float, terms: SkillTerms, alpha: float) -> int | None:
    stake = min(max(distance, 0.0) / terms.deviation, STAKES[-1])
    growth = stake * distance / terms.deviation - stake * stake / 2.0
    if growth <= 0.0:
        return None
    missing = math.log(len(STAKES) / alpha) - math.log(max(e_value, 1e-300))
    return max(math.ceil(missing * terms.steps_ahead / growth), 0)
