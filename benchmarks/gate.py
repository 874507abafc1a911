"""What the promotion gate lets through: `python -m benchmarks.gate` prints three tables.

Four symbols whose returns correlate by 0.4 are driven by a slow signal each (AR 0.95); the label
is the direction of the next five bars together, so neighbouring labels overlap. A forecaster sees
its symbol's signal with an error of its own, and says the chance of up that follows from it.
Errors are `fresh` at every date, or `slow` like the signal, as those of models on slow features
are. Losses, test and level are the gate's own functions.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtr

from mlengine.core import metrics
from mlengine.core.arrays import Floats
from mlengine.core.metrics.losses import row_losses
from mlengine.core.metrics.session_dates import DAY_MICROSECONDS
from mlengine.core.promotion.gate import SIGNIFICANCE_LEVEL, significance_level
from mlengine.core.promotion.paired_test import paired_test_of_steps

DATES, STEPS, SYMBOLS, SLOW, CORRELATED = 500, 5, 4, 0.95, 0.4
WEEKS, DAYS_A_WEEK = 52, 5
# A model that has learnt nothing still says something: as much as one of this skill would.
_PRETENDED_AUC = 0.55


@dataclass(frozen=True)
class Forecasters:
    """Equals: what each is worth, how large its errors are against the signal, and their kind."""

    auc: float
    error: float
    kind: str

    @property
    def name(self) -> str:
        skill = "useless" if self.auc == 0.5 else f"AUC {self.auc:.2f}"
        return f"{skill}, {self.kind} errors of {self.error:g}"


@dataclass(frozen=True)
class Market:
    """`strength` is what one unit of signal adds to the next bar's return, in its deviations."""

    strength: float

    def draw(self, rng: np.random.Generator, dates: int) -> tuple[Floats, Floats]:
        """Signals and labels, (symbols, dates) each."""
        signal = slow(rng, (SYMBOLS, dates + STEPS))
        shocks = math.sqrt(1 - CORRELATED) * rng.standard_normal(signal.shape)
        shocks += math.sqrt(CORRELATED) * rng.standard_normal(signal.shape[1])
        ahead = np.cumsum(self.strength * signal + shocks, axis=1)
        ahead = np.concatenate([np.zeros((SYMBOLS, 1)), ahead], axis=1)
        moves = ahead[:, STEPS : STEPS + dates] - ahead[:, :dates]
        return signal[:, :dates], (moves > 0.0).astype(np.float64)


def slow(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """AR(1) of unit variance along the last axis, in its stationary state from the start."""
    shocks = rng.standard_normal(shape)
    shocks[:, 1:] *= math.sqrt(1 - SLOW**2)
    return lfilter([1.0], [1.0, -SLOW], shocks, axis=1)


def strength_of(auc: float, *, error: float = 0.0) -> float:
    """The market in which whoever sees the signal with such an error has this AUC.

    Signal and move are jointly normal with correlation r, so AUC = 1/2 + 2/pi * arcsin(r / sqrt 2).
    """
    r = math.sqrt(2) * math.sin(math.pi / 2 * (auc - 0.5)) * math.sqrt(1 + error**2)
    known, unknown = _reach()
    odds = r**2 / (1 - r**2)
    return math.sqrt(STEPS * odds / (known**2 - odds * unknown))


def _reach() -> tuple[float, float]:
    """Of the signal's part in the move: its mean by today's signal, and its variance beyond it."""
    later = [sum(SLOW**j for j in range(STEPS - i)) for i in range(1, STEPS)]
    return sum(SLOW**j for j in range(STEPS)), (1 - SLOW**2) * sum(x * x for x in later)


def forecast(signal: Floats, strength: float, errors: Floats | float, size: float) -> Floats:
    """The chance of up given the signal with errors of deviation `size`."""
    known, unknown = _reach()
    trust = 1 / (1 + size**2)
    left = STEPS + strength**2 * (unknown + known**2 * (1 - trust))
    return ndtr(strength * known * trust * (signal + size * errors) / math.sqrt(left))


def draw_errors(rng: np.random.Generator, kind: str, dates: int) -> Floats:
    shape = (SYMBOLS, dates)
    return slow(rng, shape) if kind == "slow" else rng.standard_normal(shape)


def p_value(labels: Floats, champion: Floats, challenger: Floats) -> float:
    """As the gate finds it; 1 where it finds none."""
    lost = [
        row_losses("direction", labels=labels.T.ravel(), scores=said.T.ravel())
        for said in (champion, challenger)
    ]
    dates = np.repeat(np.arange(labels.shape[1]) * DAY_MICROSECONDS, SYMBOLS)
    found = paired_test_of_steps(dates, STEPS, champion=lost[0], challenger=lost[1]).p_value
    return 1.0 if found is None else found


def equals(pair: Forecasters, *, simulations: int, seed: int) -> Floats:
    """The p-values of challengers as good as their champions."""
    rng = np.random.default_rng(seed)
    market, believed = _market(pair)
    found = []
    for _ in range(simulations):
        signal, labels = market.draw(rng, DATES)
        two = [
            forecast(signal, believed, draw_errors(rng, pair.kind, DATES), pair.error)
            for _ in range(2)
        ]
        found.append(p_value(labels, *two))
    return np.array(found)


def _market(pair: Forecasters) -> tuple[Market, float]:
    """The market, and how strong the forecasters believe its signal to be."""
    believed = strength_of(max(pair.auc, _PRETENDED_AUC), error=pair.error)
    return Market(0.0 if pair.auc == 0.5 else believed), believed


def better(auc: float, *, simulations: int, seed: int) -> tuple[Floats, float, float]:
    """P-values of challengers of this AUC against a constant, their AUC and loss against its."""
    rng = np.random.default_rng(seed)
    market = Market(strength_of(auc))
    found, skills, lower = [], [], []
    for _ in range(simulations):
        signal, labels = market.draw(rng, DATES)
        said = forecast(signal, market.strength, 0.0, 0.0)
        found.append(p_value(labels, np.full_like(said, 0.5), said))
        skills.append(metrics.auc(labels.ravel(), said.ravel()))
        lower.append(1.0 - metrics.log_loss(labels.ravel(), said.ravel()) / math.log(2.0))
    return np.array(found), float(np.mean(skills)), float(np.mean(lower))


def years_of(pair: Forecasters, *, years: int, seed: int) -> Floats:
    """P-values (years, weeks): one champion a year, a new equal every week, the newest dates."""
    rng = np.random.default_rng(seed)
    return np.array([list(_year(rng, pair)) for _ in range(years)])


def _year(rng: np.random.Generator, pair: Forecasters) -> Iterator[float]:
    market, believed = _market(pair)
    dates = DATES + DAYS_A_WEEK * (WEEKS - 1)
    signal, labels = market.draw(rng, dates)
    champion = forecast(signal, believed, draw_errors(rng, pair.kind, dates), pair.error)
    for first in range(0, DAYS_A_WEEK * WEEKS, DAYS_A_WEEK):
        held = np.s_[:, first : first + DATES]
        errors = draw_errors(rng, pair.kind, DATES)
        challenger = forecast(signal[held], believed, errors, pair.error)
        yield p_value(labels[held], champion[held], challenger)


def share_of_years(p_values: Floats, levels: Floats) -> float:
    """The share of years with any promotion."""
    return float(np.mean((p_values < levels).any(axis=1)))


PAIRS = tuple(
    Forecasters(auc, error, kind)
    for auc in (0.5, 0.55)
    for error in (0.5, 1.0)
    for kind in ("fresh", "slow")
)
STRONG_PAIRS = tuple(
    Forecasters(0.71, error, kind) for error in (0.5, 1.0) for kind in ("fresh", "slow")
)
YEARS = (
    Forecasters(0.5, 1.0, "fresh"),
    Forecasters(0.5, 1.0, "slow"),
    Forecasters(0.55, 1.0, "fresh"),
    Forecasters(0.55, 1.0, "slow"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=10_000)
    parser.add_argument("--years", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    _print_equals(asked.simulations, asked.seed)
    _print_power(asked.simulations, asked.seed)
    _print_years(asked.years, asked.seed)


def _print_equals(simulations: int, seed: int) -> None:
    print(f"Equally good, {simulations} simulations of {DATES} dates, one test at 5 %")
    print(f"{'both are':36}  {'promoted':>8}  {'+-':>5}")
    for pair in (*PAIRS, *STRONG_PAIRS):
        promoted = float(
            np.mean(equals(pair, simulations=simulations, seed=seed) < SIGNIFICANCE_LEVEL)
        )
        print(f"{pair.name:36}  {promoted:8.1%}  {_error(promoted, simulations):5.1%}")


def _print_power(simulations: int, seed: int) -> None:
    print(f"\nA challenger with skill against a constant, {simulations} simulations")
    print("AUC    log-loss  promoted by the 1st, 2nd and 4th test against one champion")
    for auc in (0.52, 0.545, 0.57, 0.71):
        found, skill, lower = better(auc, simulations=simulations, seed=seed)
        promoted = "  ".join(f"{np.mean(found < significance_level(n)):6.1%}" for n in (1, 2, 4))
        print(f"{skill:.3f}  {-lower:8.1%}  {promoted}")


def _print_years(years: int, seed: int) -> None:
    count = np.arange(1, WEEKS + 1)
    rules = {
        "5 %": np.full(WEEKS, SIGNIFICANCE_LEVEL),
        "5 % / n": SIGNIFICANCE_LEVEL / count,
        "the gate's": np.array([significance_level(int(n)) for n in count]),
    }
    print(f"\n{WEEKS} weekly retrainings of equals, {years} years: any promotion, by level")
    print(f"{'both are':36}  {'  '.join(f'{name:>10}' for name in rules)}  {'+-':>5}")
    for pair in YEARS:
        found = years_of(pair, years=years, seed=seed)
        shares = [share_of_years(found, levels) for levels in rules.values()]
        told = "  ".join(f"{share:10.1%}" for share in shares)
        print(f"{pair.name:36}  {told}  {_error(shares[-1], years):5.1%}")


def _error(share: float, draws: int) -> float:
    """The half width of a 95 % interval."""
    return 1.96 * math.sqrt(share * (1.0 - share) / draws)


if __name__ == "__main__":
    main()
