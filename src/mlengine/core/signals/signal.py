"""What a version said of a symbol at a bar, and which of it a reader asks for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

SignalSource: TypeAlias = Literal["scheduled", "out_of_fold", "holdout"]

# The route of the audit's rows that nobody asked for: the workers scored them.
SCHEDULED = "scheduled"
# The error of a symbol whose bar did not come in time.
BAR_MISSING = "bar_missing"


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One row of the panel, of `bar_timestamp` and `symbol`.

    `score` is the number of `model_version`: the probability of a rise, the expected return, or
    how far the symbol is ahead of the others; null where there is an `error`, a code. `scheduled`
    signals were given when the bar was final. Others are of the past: of the folds of a training,
    each by the model of its recipe that had not seen the row, and of its holdout, by the
    candidate. Their `usable` is null, and `answered_at` when the version was made.
    """

    bar_timestamp: datetime
    symbol: str
    model_version: str
    source: SignalSource
    score: float | None
    prediction: str | None
    in_sample: bool | None
    usable: bool | None
    reasons: tuple[str, ...] | None
    error: str | None
    prediction_id: str | None
    answered_at: datetime


@dataclass(frozen=True)
class SignalQuery:
    """Bars from `since` on, before `until`; what was known at `as_of`.

    With `version` what that one said, else what each bar's champion did.
    """

    since: datetime | None = None
    until: datetime | None = None
    as_of: datetime | None = None
    version: str | None = None
    symbol: str | None = None


TableFormat: TypeAlias = Literal["csv", "arrow", "parquet"]
ExportState: TypeAlias = Literal["queued", "running", "ready", "failed"]


@dataclass(frozen=True, kw_only=True)
class SignalExport:
    """A panel that a worker writes into a file, which is kept until `expires_at`."""

    id: str
    model: str
    query: SignalQuery
    format: TableFormat
    state: ExportState
    requested_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    rows: int | None = None
    bytes: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Tick:
    """A bar that began at `bar_timestamp` is final at `at`, the one after it at `next_at`.

    Of bars within a day `bar_timestamp` is the one on a grid that begins with trading: where a
    series has another grid, its own bar begins a part of a bar before.
    """

    at: datetime
    bar_timestamp: datetime
    next_at: datetime


@dataclass(frozen=True)
class BarToScore:
    """A bar of a line that is final, and the versions that are to speak of it.

    What has not come by `give_up_at` is given up. `previous` served before `champion`.
    """

    id: int
    model: str
    final_at: datetime
    bar_timestamp: datetime
    next_at: datetime
    give_up_at: datetime
    champion: str
    previous: str | None

    @property
    def versions(self) -> tuple[str, ...]:
        """The champion first."""
        return (self.champion,) if self.previous is None else (self.champion, self.previous)


@dataclass(frozen=True, kw_only=True)
class ScoredBar:
    """How far a bar of a line is: of `pending` of its `symbols` something is to be said yet."""

    bar_timestamp: datetime
    final_at: datetime
    completed_at: datetime | None
    champion: str
    previous: str | None
    symbols: int
    pending: int


@dataclass(frozen=True)
class Slice:
    """The symbols of a part of a bar that have no signal yet; `holder` has it for some seconds."""

    bar: BarToScore
    number: int
    symbols: tuple[str, ...]
    holder: str
