"""What keeps a training from beginning or from ending well."""

from dataclasses import dataclass
from typing import ClassVar

from mlengine.errors.base import MlengineError, ReasonError
from mlengine.errors.requests import InvalidRequest


@dataclass(eq=False)
class TrainingInProgress(MlengineError):
    code: ClassVar[str] = "training_in_progress"
    message: ClassVar[str] = "run {run_id} is queued or running"
    run_id: str


@dataclass(eq=False)
class RunNotFound(MlengineError):
    code: ClassVar[str] = "run_not_found"
    run_id: str

    def __str__(self) -> str:
        return f"there is no run {self.run_id[:64]!r}"


class NoUnfinishedRun(MlengineError):
    code: ClassVar[str] = "run_not_found"
    message: ClassVar[str] = "no run is queued or running"


@dataclass(eq=False)
class RunNotCancellable(MlengineError):
    """`state` is how it ended, or `publishing` while its version is being made visible."""

    code: ClassVar[str] = "run_not_cancellable"
    message: ClassVar[str] = "run {run_id} is {state} and can't be cancelled"
    run_id: str
    state: str


class IdempotencyKeyReused(InvalidRequest):
    """The key of a request that had another body."""

    def __init__(self) -> None:
        super().__init__({"Idempotency-Key": ["came with another body before"]})


class TrainingFailed(ReasonError):
    """A run ended without a model, for a reason that its owner can act on."""

    code: ClassVar[str] = "training_failed"


@dataclass(eq=False)
class LeaseLost(MlengineError):
    """The run is no longer this process's to finish; nothing may be published for it."""

    code: ClassVar[str] = "lease_lost"
    message: ClassVar[str] = "run {run_id} is no longer held by this process"
    run_id: str
