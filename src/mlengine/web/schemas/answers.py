"""The bodies of answers as types: dataclasses as they are, and what views add or leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypedDict

from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.quality import SUSPECT_REASONS, SeriesQuality
from mlengine.core.evaluation import Verdict
from mlengine.core.monitoring.drift.check import FeatureDrift
from mlengine.core.monitoring.drift.window_measures import MEASURES
from mlengine.core.monitoring.event import Event
from mlengine.core.predictions import usability
from mlengine.core.predictions.prediction import AuditRow, Contribution, Prediction
from mlengine.core.predictions.replay import STATUSES, ReplayResult
from mlengine.core.promotion.gate import Decision
from mlengine.core.runs.run import RUN_FIELDS, STATES, Run
from mlengine.core.training.spec import (
    ACTIVATIONS,
    ENGINES,
    LABELS,
    OBJECTIVES,
    REFITS,
    TrainSpec,
)
from mlengine.core.versions.comparison import Comparison
from mlengine.core.versions.manifest import Manifest
from mlengine.services.bars.served import RECONSTRUCTED, RECORDED
from mlengine.services.features.service import FeatureTable
from mlengine.services.models.catalog import ModelSummary
from mlengine.services.monitoring.health import Health


@dataclass(frozen=True)
class Shape:
    """The fields of the dataclass `of`, `without` some, with `members` added or in their place.

    Those in `optional` may be missing. `rest` is the type of members by any other name.
    """

    name: str
    of: type | None = None
    without: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    members: Mapping[str, object] = field(default_factory=dict)
    rest: object = None


@dataclass(frozen=True)
class Values:
    """One of a few texts."""

    values: Sequence[str]


@dataclass(frozen=True)
class Formats:
    """A body that is JSON of a shape, or a file of one of the media types."""

    json: Shape
    others: tuple[str, ...]


@dataclass(frozen=True)
class ListOf:
    item: Shape | OneOf


@dataclass(frozen=True)
class OneOf:
    """A body that has one of several shapes."""

    shapes: tuple[Shape, ...]


class ModelVersions(TypedDict):
    active_version: str | None
    loaded_version: str | None
    ageing_from: datetime | None
    too_old_from: datetime | None


class RefusedFile(TypedDict):
    file: str
    reason: str


class ItemError(TypedDict):
    code: str
    detail: str


class BatchSummary(TypedDict):
    requested: int
    succeeded: int
    failed: int


class Ready(TypedDict):
    status: Literal["ready"]
    model_version: str


STATES_OF_A_PART = ("ok", "degraded", "down", "unknown")
BAR_REASONS = (*sorted(SUSPECT_REASONS),)
USABILITY_REASONS = (
    usability.BAR_TOO_OLD,
    usability.DELISTED,
    usability.MODEL_TOO_OLD,
    usability.NULL_FEATURES,
    usability.NOVEL_ROW,
    *BAR_REASONS,
)
POINTS_IN_TIME = (RECORDED, RECONSTRUCTED)
DIRECTIONS = ("up", "down")
VERDICTS = ("edge", "no_edge", "worse")

# The values that a field of text can have, where its type does not say so.
VALUES: Mapping[tuple[type, str], Sequence[str]] = {
    **dict.fromkeys([(Prediction, "objective"), (AuditRow, "objective")], OBJECTIVES),
    **dict.fromkeys([(Prediction, "prediction"), (AuditRow, "prediction")], DIRECTIONS),
    (Prediction, "model_verdict"): VERDICTS,
    **dict.fromkeys([(Prediction, "reasons"), (AuditRow, "reasons")], USABILITY_REASONS),
    **dict.fromkeys(
        [(kind, "point_in_time") for kind in (Prediction, AuditRow, FeatureTable)], POINTS_IN_TIME
    ),
    **dict.fromkeys(
        [(kind, "interval") for kind in (Prediction, AuditRow, FeatureTable, Manifest, TrainSpec)],
        (*INTERVALS,),
    ),
    (Comparison, "reason"): ("not_comparable", "no_common_rows"),
    (FeatureDrift, "measure"): MEASURES,
    (Health, "status"): ("ok", "degraded"),
    (Health, "env"): ("development", "staging", "production"),
    (Health, "checks"): STATES_OF_A_PART,
    (Manifest, "objective"): OBJECTIVES,
    (Manifest, "served"): ("candidate", "refit"),
    (ModelSummary, "status"): ("active", "available", "corrupt"),
    (ReplayResult, "status"): STATUSES,
    (ReplayResult, "upstream"): ("same", "changed", "unavailable", "not_checked"),
    (Run, "kind"): ("train", "reproduce"),
    (SeriesQuality, "reasons"): BAR_REASONS,
    (TrainSpec, "objective"): OBJECTIVES,
    (TrainSpec, "label"): LABELS,
    (TrainSpec, "activate"): ACTIVATIONS,
    (TrainSpec, "refit"): REFITS,
    (TrainSpec, "engine"): ENGINES,
    (Decision, "policy"): ACTIVATIONS,
    (Verdict, "verdict"): VERDICTS,
}

HEALTH = Shape(
    "Health",
    Health,
    without=("active_version", "loaded_version", "ageing_from", "too_old_from"),
    members={"refused_files": list[RefusedFile], "model": ModelVersions},
)

FEATURE_ROW = Shape("FeatureRow", members={"timestamp": datetime}, rest=float | None)
FEATURE_TABLE = Shape(
    "FeatureTable",
    FeatureTable,
    without=("rows",),
    members={"nulls": dict[str, int], "features": ListOf(FEATURE_ROW)},
)

_EXPLANATION: Mapping[str, object] = {
    "raw_score": float,
    "base_value": float,
    "contributions": tuple[Contribution, ...],
}
PREDICTION = Shape("Prediction", Prediction, optional=tuple(_EXPLANATION), members=_EXPLANATION)
BATCH_PREDICTION = Shape(
    "BatchPrediction",
    Prediction,
    without=tuple(_EXPLANATION),
    members={"status": Literal["ok"]},
)
BATCH_FAILURE = Shape(
    "BatchFailure",
    optional=("prediction_id",),
    members={
        "symbol": str | None,
        "status": Literal["error"],
        "error": ItemError,
        "prediction_id": str,
    },
)
BATCH = Shape(
    "Batch",
    members={
        "model_version": str,
        "results": ListOf(OneOf((BATCH_PREDICTION, BATCH_FAILURE))),
        "summary": BatchSummary,
    },
)
AUDITED_PREDICTION = Shape(
    "AuditedPrediction",
    AuditRow,
    without=("ok", "error_code", "error_detail"),
    members={"status": Literal["ok", "error"], "error": ItemError | None},
)
RECENT_PREDICTIONS = Shape(
    "RecentPredictions",
    members={
        "predictions": ListOf(AUDITED_PREDICTION),
        "next_cursor": str | None,
        "spooled": bool,
    },
)
REPLAY = Shape("Replay", ReplayResult, members={"actor": str})

MODEL = Shape("Model", Manifest, members={"reproducible": bool, "is_active": bool})

EVENT = Shape("Event", Event, without=("generation",))
HISTORY = Shape("History", members={"events": ListOf(EVENT), "next_cursor": str | None})

_RUN_MEMBERS: Mapping[str, object] = {
    "eta_seconds": float | None,
    "note": str | None,
    "parameters": dict[str, Any],
}
_NOT_SHOWN = ("spec", "seq", "idempotency_key", "body_hash")
LISTED_RUN = Shape(
    "ListedRun",
    Run,
    without=(*_NOT_SHOWN, "log", "result"),
    members={**_RUN_MEMBERS, "state": Values(STATES)},
)
RUNS = Shape("Runs", members={"runs": ListOf(LISTED_RUN), "next_cursor": str | None})
RUN = Shape(
    "RunStatus",
    Run,
    without=_NOT_SHOWN,
    members={**_RUN_MEMBERS, "state": Values(STATES), "workers": int | None},
)
NO_RUN = Shape(
    "NoRun",
    members={
        **dict.fromkeys(RUN_FIELDS, None),
        "model": str,
        "state": Literal["idle"],
        "workers": int | None,
    },
)
RUN_STATUS = OneOf((RUN, NO_RUN))
