"""Five years of a model whose skill stays, or is gone: symbols that move together, a slow signal.

Before them comes a training by default: so many bars a symbol, of which a row has features once its
window is full; a fifth of the dates is the holdout, and five folds test most of the others, cut as
`core.training.splits` does. Those count whose model has learnt from two fifths of the dates before
the holdout or more. It knows as much as the candidate.

Each symbol has a signal (AR 0.95) that adds to its next return; returns correlate by 0.4. The label
is the direction of the next h bars together, the forecast the chance of up given the signal, as
good as one can be. When the skill vanishes the signal adds nothing any more, and the model says
what it said. Of returns the label is their sum and the forecast what the signal adds to it; their
volatility comes in clusters, with tails of t3, and the forecast doesn't follow it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtr

from mlengine.core.arrays import Floats, Indices
from mlengine.core.metrics.losses import log_losses
from mlengine.core.monitoring.skill.betting import e_values, interleave
from mlengine.core.monitoring.skill.evidence import ALPHA, SkillTerms, first_lost, skill_terms
from mlengine.core.training.splits import RowTimes, holdout_split, walk_forward

SLOW, CORRELATED = 0.95, 0.4
HALF_LIFE = 60  # dates, of a skill that comes and goes
BARS, WINDOW_BARS, FOLDS, HOLDOUT_SHARE = 2520, 64, 5, 0.2
LEAST_LEARNT = 0.4
TRAINING, LIVE = BARS - WINDOW_BARS + 1, 1260
FEWEST_NAIVE, WEEK = 50, 5


@dataclass(frozen=True)
class World:
    """AUC of the model while it has its skill, label length in dates, and symbols.

    `wander` is the deviation of what a skill that comes and goes is times.
    """

    auc: float
    steps: int
    symbols: int
    objective: str = "direction"
    wander: float = 0.0

    @property
    def strength(self) -> float:
        """What a unit of signal adds to the next return, in its deviations; benchmarks/gate.py."""
        r = math.sqrt(2.0) * math.sin(math.pi / 2.0 * (self.auc - 0.5))
        known, unknown = self.reach
        odds = r * r / (1.0 - r * r)
        return math.sqrt(self.steps * odds / (known**2 - odds * unknown))

    @property
    def reach(self) -> tuple[float, float]:
        """Of the signal's part in the sum: its mean by today's signal, and its variance beyond."""
        later = [sum(SLOW**j for j in range(self.steps - i)) for i in range(1, self.steps)]
        return sum(SLOW**j for j in range(self.steps)), (1 - SLOW**2) * sum(x * x for x in later)


def daily_gains(world: World, seed: int, *, vanished: bool) -> tuple[Floats, Floats, Floats]:
    """(dates,) of folds, holdout and live, as `outcomes.performance.daily_gains` has them.

    The last dates of the training have no label yet when it is made.
    """
    labels, said = labels_and_forecasts(world, seed, vanished=vanished)
    if world.objective == "direction":
        gains = (math.log(2.0) - log_losses(labels, said)).mean(axis=1)
    else:
        norms = np.linalg.norm(labels, axis=1) * np.linalg.norm(said, axis=1)
        gains = (labels * said).sum(axis=1) / norms
    folds, holdout = unseen_dates(world.steps)
    return gains[np.concatenate(folds)], gains[holdout], gains[TRAINING : TRAINING + LIVE]


def unseen_dates(steps: int) -> tuple[list[Indices], Indices]:
    """Of the dates with features, those of each fold's test, and of the holdout."""
    dates = np.arange(TRAINING - steps)
    times = RowTimes(timestamps=dates, label_ends=dates + steps)
    held_out = holdout_split(times, test_share=HOLDOUT_SHARE)
    folds = walk_forward(times, held_out.train, folds=FOLDS)
    least = LEAST_LEARNT * len(held_out.train)
    tests = [fold.test for fold in folds if len(fold.train) >= least]
    return tests, held_out.test


def labels_and_forecasts(world: World, seed: int, *, vanished: bool) -> tuple[Floats, Floats]:
    """(dates, symbols) each, of training and live."""
    rng = np.random.default_rng(seed)
    dates = TRAINING + LIVE + world.steps
    is_return = world.objective == "return"
    signal, shocks = rng.standard_normal((2, dates, world.symbols))
    signal[1:] *= math.sqrt(1.0 - SLOW**2)
    signal = lfilter([1.0], [1.0, -SLOW], signal, axis=0)
    common = rng.standard_normal((dates, 1))
    if is_return:
        shocks, common = (rng.standard_t(3, x.shape) / math.sqrt(3.0) for x in (shocks, common))
    shocks = math.sqrt(1.0 - CORRELATED) * shocks + math.sqrt(CORRELATED) * common
    strength = np.full((dates, 1), world.strength)
    if world.wander:
        strength *= 1.0 + world.wander * _slow_noise(dates, rng)
    if vanished:
        strength[TRAINING:] = 0.0
    moves = (strength * signal + shocks) * (_volatility(shocks) if is_return else 1.0)
    summed = np.cumsum(np.vstack([np.zeros((1, world.symbols)), moves]), axis=0)
    returns = summed[world.steps :] - summed[: -world.steps]
    labels = returns if is_return else (returns > 0.0).astype(np.float64)
    return labels, _forecast(world, signal[: len(labels)])


def _slow_noise(dates: int, rng: np.random.Generator) -> Floats:
    """(dates, 1) of deviation 1, as it is after long."""
    stays = 0.5 ** (1.0 / HALF_LIFE)
    shocks = math.sqrt(1.0 - stays**2) * rng.standard_normal(dates + 10 * HALF_LIFE)
    return np.asarray(lfilter([1.0], [1.0, -stays], shocks)[-dates:, None])


def _volatility(shocks: Floats) -> Floats:
    """Of GARCH(1,1) as null panels have it; one shock counts for twenty variances at most."""
    variance = np.ones_like(shocks)
    for date in range(1, len(shocks)):
        shock = np.minimum(np.square(shocks[date - 1]), 20.0)
        variance[date] = 0.02 + variance[date - 1] * (0.08 * shock + 0.90)
    return np.sqrt(variance)


def _forecast(world: World, signal: Floats) -> Floats:
    known, unknown = world.reach
    strength = world.strength
    if world.objective == "return":
        return strength * known * signal
    left = world.steps + strength**2 * unknown
    return np.asarray(ndtr(strength * known * signal / math.sqrt(left)))


def first_lost_date(live: Floats, terms: SkillTerms) -> float:
    """On which date `lost` is said first; infinite if never."""
    return first_lost(live, terms) or math.inf


def first_proven(live: Floats, terms: SkillTerms) -> float:
    """On which date `proven` is said first; infinite if never."""
    growth = terms.bet.log_growth(live)
    above = e_values(interleave(growth, steps_ahead=terms.steps_ahead)) >= 1.0 / ALPHA
    return first_run(above, terms.steps_ahead)


def first_run(above: np.ndarray, length: int) -> float:
    """The date on which `above` has held for `length` dates; infinite if it never does."""
    held = np.convolve(above, np.ones(length), mode="full")[: len(above)] >= length - 0.5
    found = np.flatnonzero(held)
    return float(found[0] + 1) if len(found) else math.inf


def first_naive(live: Floats, terms: SkillTerms) -> float:
    """By weekly looks: when the 95 % interval of all dates so far lies below training's mean."""
    count = np.arange(1, len(live) + 1)
    mean = np.cumsum(live) / count
    deviation = np.sqrt(np.maximum(np.cumsum(live * live) / count - mean * mean, 0.0))
    below = mean + 1.96 * deviation / np.sqrt(count) < terms.mean
    looks = (count >= FEWEST_NAIVE) & (count % WEEK == 0)
    found = np.flatnonzero(below & looks)
    return float(found[0] + 1) if len(found) else math.inf


def trial(world: World, seed: int, *, vanished: bool) -> tuple[float, float, float, float]:
    """When `lost`, `proven` and the naive `lost` are said first; then the decline of the mean."""
    folds, holdout, live = daily_gains(world, seed, vanished=vanished)
    trained = np.concatenate([folds, holdout])
    fall = 2.0 if world.objective == "direction" else 1.0
    terms = skill_terms(trained, steps_ahead=world.steps, fall=fall, holdout_dates=len(holdout))
    assert terms is not None
    return (
        first_lost_date(live, terms),
        first_proven(live, terms),
        first_naive(live, terms),
        float(trained.mean() - live.mean()),
    )
