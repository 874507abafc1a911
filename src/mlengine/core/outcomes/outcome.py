"""What is waited for after a prediction, and what becomes of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mlengine.core.bars.intervals import INTERVALS

PENDING, SCORED, VOID, LATE = "pending", "scored", "void", "late"
STATES = (PENDING, SCORED, VOID, LATE)


@dataclass(frozen=True)
class LabelTerms:
    """What a version was trained to forecast."""

    objective: str
    horizon_bars: int
    delay_bars: int
    interval: str
    transform: str = "raw"

    @property
    def label_bars(self) -> int:
        """So many bars after its own the outcome of a prediction is known."""
        return self.horizon_bars + self.delay_bars

    @property
    def width(self) -> timedelta:
        """The length of a bar."""
        return INTERVALS[self.interval]


@dataclass(frozen=True)
class PendingOutcome:
    """A prediction that was asked for `asked_at`, whose outcome is not known yet.

    By the calendar of its symbol it is known at `due_at`, and `overdue_at` is one bar later.
    """

    id: int
    symbol: str
    bar_timestamp: datetime
    asked_at: datetime
    due_at: datetime
    overdue_at: datetime


@dataclass(frozen=True)
class Outcome:
    """What became of it: `scored` with its label, `void` or `late` with the reason.

    `label` is what the version is fitted to, `last_return` the return of the prediction's own bar,
    None without a bar before it.
    """

    id: int
    state: str
    reason: str | None = None
    label: float | None = None
    forward_return: float | None = None
    last_return: float | None = None
    label_ends: datetime | None = None
