"""Versions that are not there, not whole or not servable."""

from dataclasses import dataclass
from typing import ClassVar

from mlengine.errors.base import MlengineError


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


class LineNotFound(ModelNotFound):
    """There is no model line of this name, which stands in `version`."""

    def __str__(self) -> str:
        return f"there is no model line {self.version[:64]!r}"


@dataclass(eq=False)
class LineRetired(MlengineError):
    """A line that serves and trains no more; its past can be read."""

    code: ClassVar[str] = "line_retired"
    message: ClassVar[str] = "the model line {line} is retired: it serves and trains no more"
    line: str


class NoActiveModel(MlengineError):
    code: ClassVar[str] = "no_active_model"
    message: ClassVar[str] = "no model is active; train one, or activate a version"


@dataclass(eq=False)
class ArtifactCorrupt(MlengineError):
    code: ClassVar[str] = "artifact_corrupt"
    message: ClassVar[str] = "the files of model {version} are refused: {reason}"
    version: str
    reason: str


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
    message: ClassVar[str] = (
        "model {version} was trained on {model_interval} bars, "
        "this platform serves {served_interval}"
    )
    version: str
    model_interval: str
    served_interval: str


@dataclass(eq=False)
class ApprovalNeeded(MlengineError):
    """Who asked for an activation can't confirm it."""

    code: ClassVar[str] = "approval_needed"
    message: ClassVar[str] = (
        "{actor} has asked for the activation of {version}; another key has to confirm it"
    )
    version: str
    actor: str


@dataclass(eq=False)
class NotReady(MlengineError):
    """Predictions can't be answered yet, for a reason that an operator must mend."""

    code: ClassVar[str] = "not_ready"
    message: ClassVar[str] = "not ready: {reason}"
    reason: str
