"""Domain errors that carry facts; `web/errors.py` alone maps them to HTTP.

`str(error)` is one sentence made of the facts, safe to show to a client: it never holds the
text of another exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


class MlengineError(Exception):
    """Base of every error that the platform raises on purpose."""

    code: ClassVar[str] = "internal"


@dataclass(eq=False)
class Sentence(MlengineError):
    """An error whose one fact is a sentence."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class InvalidRequest(MlengineError):
    """A value was understood and refused; `errors` names each field."""

    code: ClassVar[str] = "invalid_request"
    errors: Mapping[str, Sequence[str]]

    def __str__(self) -> str:
        return "; ".join(f"{name}: {' '.join(said)}" for name, said in self.errors.items())


@dataclass(eq=False)
class UnknownSymbol(MlengineError):
    code: ClassVar[str] = "unknown_symbol"
    symbol: str

    def __str__(self) -> str:
        return f"the upstream knows no symbol {self.symbol!r}"


@dataclass(eq=False)
class InsufficientBars(MlengineError):
    code: ClassVar[str] = "insufficient_bars"
    symbol: str
    needed: int
    got: int
    first_possible: datetime | None = None

    def __str__(self) -> str:
        said = f"{self.symbol!r} has {self.got} final bars by then, {self.needed} are needed"
        if self.first_possible is None:
            return said
        return f"{said}; the first possible moment is {self.first_possible:%Y-%m-%dT%H:%M:%SZ}"


@dataclass(eq=False)
class UpstreamInvalid(MlengineError):
    """The upstream answered with something that is not market data."""

    code: ClassVar[str] = "upstream_invalid"
    reason: str

    def __str__(self) -> str:
        return f"the market-data upstream gave an answer that can't be used: {self.reason}"


@dataclass(eq=False)
class UpstreamUnavailable(MlengineError):
    code: ClassVar[str] = "upstream_unavailable"
    reason: str
    retry_after_seconds: int = 5

    def __str__(self) -> str:
        return f"the market-data upstream can't be reached: {self.reason}"


@dataclass(eq=False)
class ModelNotFound(MlengineError):
    code: ClassVar[str] = "model_not_found"
    version: str

    def __str__(self) -> str:
        return f"there is no model {self.version[:64]!r}"


class NoPreviousModel(ModelNotFound):
    """Nothing was active before the active version."""

    def __init__(self) -> None:
        super().__init__("previous")

    def __str__(self) -> str:
        return "no earlier version was active, so there is nothing to roll back to"


class NoActiveModel(MlengineError):
    code: ClassVar[str] = "no_active_model"

    def __str__(self) -> str:
        return "no model is active; train one, or activate a version"


@dataclass(eq=False)
class ArtifactCorrupt(MlengineError):
    code: ClassVar[str] = "artifact_corrupt"
    version: str
    reason: str

    def __str__(self) -> str:
        return f"the files of model {self.version} are refused: {self.reason}"


@dataclass(eq=False)
class NotReady(MlengineError):
    """Predictions can't be answered yet, for a reason that an operator must mend."""

    code: ClassVar[str] = "not_ready"
    reason: str

    def __str__(self) -> str:
        return f"not ready: {self.reason}"


@dataclass(eq=False)
class FeatureSetMismatch(MlengineError):
    code: ClassVar[str] = "feature_set_mismatch"
    version: str
    feature_set: str
    model_hash: str
    served_hash: str | None

    def __str__(self) -> str:
        return (
            f"model {self.version} was trained on feature set {self.feature_set!r} with hash "
            f"{self.model_hash[:12]}, this platform serves {(self.served_hash or 'none')[:12]}"
        )


@dataclass(eq=False)
class IntervalMismatch(MlengineError):
    code: ClassVar[str] = "interval_mismatch"
    version: str
    model_interval: str
    served_interval: str

    def __str__(self) -> str:
        return (
            f"model {self.version} was trained on {self.model_interval} bars, "
            f"this platform serves {self.served_interval}"
        )


class Unauthorized(MlengineError):
    code: ClassVar[str] = "unauthorized"

    def __str__(self) -> str:
        return "a valid admin key is needed in the header X-API-Key"


class Forbidden(Sentence):
    code: ClassVar[str] = "forbidden"


class AdminDisabled(MlengineError):
    code: ClassVar[str] = "admin_disabled"

    def __str__(self) -> str:
        return "admin routes are off: ADMIN_API_KEY is not set"


@dataclass(eq=False)
class TrainingInProgress(MlengineError):
    code: ClassVar[str] = "training_in_progress"
    run_id: str

    def __str__(self) -> str:
        return f"run {self.run_id} is queued or running"


@dataclass(eq=False)
class QueueUnavailable(MlengineError):
    code: ClassVar[str] = "queue_unavailable"
    reason: str

    def __str__(self) -> str:
        return f"the job queue can't be reached: {self.reason}"


@dataclass(eq=False)
class RunNotFound(MlengineError):
    code: ClassVar[str] = "run_not_found"
    run_id: str

    def __str__(self) -> str:
        return f"there is no run {self.run_id[:64]!r}"


@dataclass(eq=False)
class AuditUnavailable(MlengineError):
    """The audit store can't be written, so no prediction may be answered."""

    code: ClassVar[str] = "audit_unavailable"
    reason: str

    def __str__(self) -> str:
        return f"the audit store can't be used: {self.reason}"


class TrainingFailed(Sentence):
    """A run ended without a model, for a reason that its owner can act on."""

    code: ClassVar[str] = "training_failed"


@dataclass(eq=False)
class LeaseLost(MlengineError):
    """The run is no longer this process's to finish; nothing may be published for it."""

    code: ClassVar[str] = "lease_lost"
    run_id: str

    def __str__(self) -> str:
        return f"run {self.run_id} is no longer held by this process"


@dataclass(eq=False)
class BadSetting(MlengineError):
    code: ClassVar[str] = "bad_setting"
    variable: str
    value: str
    expected: str

    def __str__(self) -> str:
        return f"{self.variable}={self.value!r}: expected {self.expected}"


class CannotStart(Sentence):
    """A part of the platform can't start on this machine; says what to do."""

    code: ClassVar[str] = "cannot_start"
