"""What keeps a training from beginning or from ending well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mlengine.errors.base import MlengineError, Sentence


@dataclass(eq=False)
class TrainingInProgress(MlengineError):
    code: ClassVar[str] = "training_in_progress"
    run_id: str

    def __str__(self) -> str:
        return f"run {self.run_id} is queued or running"


@dataclass(eq=False)
class RunNotFound(MlengineError):
    code: ClassVar[str] = "run_not_found"
    run_id: str

    def __str__(self) -> str:
        return f"there is no run {self.run_id[:64]!r}"


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
