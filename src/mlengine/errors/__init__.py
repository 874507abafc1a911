"""Domain errors that carry facts; `web/errors.py` alone maps them to HTTP.

`str(error)` is one sentence made of the facts, safe to show to a client: it never holds the
text of another exception.
"""

from mlengine.errors.base import MlengineError, ReasonError
from mlengine.errors.dependencies import (
    ArtifactsUnavailable,
    DamagedRow,
    DatabaseUnavailable,
    QueueUnavailable,
    RegistryUnavailable,
    UpstreamInvalid,
    UpstreamUnavailable,
)
from mlengine.errors.hooks import HookNotFound, TooManyHooks, TooManyStreams
from mlengine.errors.keys import KeyNameTaken, KeyNotFound, KeysDamaged
from mlengine.errors.models import (
    ApprovalNeeded,
    ArtifactCorrupt,
    FeatureSetMismatch,
    IntervalMismatch,
    LineNotFound,
    LineRetired,
    ModelNotFound,
    NoActiveModel,
    NoPreviousModel,
    NotReady,
)
from mlengine.errors.requests import (
    AdminDisabled,
    CannotWrite,
    ExportNotFound,
    Forbidden,
    InsufficientBars,
    InvalidRequest,
    PredictionNotFound,
    TooManyFailedKeys,
    Unauthorized,
    UnknownSymbol,
)
from mlengine.errors.startup import BadSetting, CannotStart, RefusedLineFiles
from mlengine.errors.training import (
    IdempotencyKeyReused,
    LeaseLost,
    NoUnfinishedRun,
    RunNotCancellable,
    RunNotFound,
    TrainingFailed,
    TrainingInProgress,
)

__all__ = [
    "AdminDisabled",
    "ApprovalNeeded",
    "ArtifactCorrupt",
    "ArtifactsUnavailable",
    "BadSetting",
    "CannotStart",
    "CannotWrite",
    "DamagedRow",
    "DatabaseUnavailable",
    "ExportNotFound",
    "FeatureSetMismatch",
    "Forbidden",
    "HookNotFound",
    "IdempotencyKeyReused",
    "InsufficientBars",
    "IntervalMismatch",
    "InvalidRequest",
    "KeyNameTaken",
    "KeyNotFound",
    "KeysDamaged",
    "LeaseLost",
    "LineNotFound",
    "LineRetired",
    "MlengineError",
    "ModelNotFound",
    "NoActiveModel",
    "NoPreviousModel",
    "NoUnfinishedRun",
    "NotReady",
    "PredictionNotFound",
    "QueueUnavailable",
    "ReasonError",
    "RefusedLineFiles",
    "RegistryUnavailable",
    "RunNotCancellable",
    "RunNotFound",
    "TooManyFailedKeys",
    "TooManyHooks",
    "TooManyStreams",
    "TrainingFailed",
    "TrainingInProgress",
    "Unauthorized",
    "UnknownSymbol",
    "UpstreamInvalid",
    "UpstreamUnavailable",
]
