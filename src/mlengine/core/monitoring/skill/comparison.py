"""Whether a model does better than another on the same rows: evidence at any time, both ways.

Bets are on the sign of the mean daily difference of losses. Their size follows the deviation of
the dates before, so that nothing is needed but the live dates themselves (Choe and Ramdas 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from mlengine.core.monitoring.skill.betting import STAKES, Bet, e_values
from mlengine.core.monitoring.skill.evidence import ALPHA

ComparisonStatus: TypeAlias = Literal["ahead", "behind", "undecided"]
# Dates that only say how far the differences vary.
WARM_UP_DATES = 20


@dataclass(frozen=True)
class ComparisonState:
    """What is kept: sums of the differences so far, and log capitals (streams x stakes) each way.

    `ahead_for` and `behind_for` count the dates since the evidence has stood above its level.
    """

    steps_ahead: int
    ahead: tuple[float, ...]
    behind: tuple[float, ...]
    dates: int = 0
    total: float = 0.0
    squares: float = 0.0
    ahead_for: int = 0
    behind_for: int = 0
    status: ComparisonStatus = "undecided"

    @property
    def e_values(self) -> tuple[float, float]:
        """For and against the model."""
        ahead, behind = (_e_value(row, self.steps_ahead) for row in (self.ahead, self.behind))
        return ahead, behind

    @property
    def deviation(self) -> float:
        """Of the differences so far; 0 of fewer than two."""
        if self.dates < 2:
            return 0.0
        spread = self.squares - self.total * self.total / self.dates
        return math.sqrt(max(spread, 0.0) / (self.dates - 1))


def start_comparison(*, steps_ahead: int) -> ComparisonState:
    """Before the first date."""
    nothing = (0.0,) * (steps_ahead * len(STAKES))
    return ComparisonState(steps_ahead, nothing, nothing)


def add_difference(
    state: ComparisonState, difference: float, *, alpha: float = ALPHA
) -> ComparisonState:
    """One more date: the other's mean loss less the model's; what is not finite changes nothing.

    Dates come once each, in their order. The first verdict stays.
    """
    if not math.isfinite(difference):
        return state
    rows = [state.ahead, state.behind]
    if state.dates >= WARM_UP_DATES and state.deviation > 0.0:
        stream, stakes = state.dates % state.steps_ahead, len(STAKES)
        for number, side in enumerate((1, -1)):
            capital = np.array(rows[number])
            bet = Bet(0.0, state.deviation, side)
            growth = bet.log_growth(np.array([difference]))[0]
            capital[stream * stakes : (stream + 1) * stakes] += growth
            rows[number] = tuple(capital.tolist())
    ahead_for, behind_for = (
        since + 1 if _e_value(row, state.steps_ahead) >= 1.0 / alpha else 0
        for row, since in zip(rows, (state.ahead_for, state.behind_for), strict=True)
    )
    return replace(
        state,
        ahead=rows[0],
        behind=rows[1],
        dates=state.dates + 1,
        total=state.total + difference,
        squares=state.squares + difference * difference,
        ahead_for=ahead_for,
        behind_for=behind_for,
        status=_status(state, ahead_for, behind_for),
    )


def _status(state: ComparisonState, ahead_for: int, behind_for: int) -> ComparisonStatus:
    if state.status != "undecided":
        return state.status
    if behind_for >= state.steps_ahead:
        return "behind"
    return "ahead" if ahead_for >= state.steps_ahead else "undecided"


def _e_value(row: tuple[float, ...], steps_ahead: int) -> float:
    return float(e_values(np.array(row).reshape(steps_ahead, len(STAKES))))
