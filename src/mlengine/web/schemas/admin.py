"""What admin routes take and give."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, post_load, validate

from mlengine.core.train_spec import ACTIVATIONS, OBJECTIVES, REFITS
from mlengine.web.schemas.fields import (
    FeatureSetName,
    Moment,
    OfModel,
    RunId,
    Share,
    Symbol,
    Whole,
)

MAX_TRAIN_SYMBOLS = 5000


class TrainBody(OfModel):
    """Overrides of the configured recipe, under the names that the run records."""

    symbols = fields.List(Symbol(), validate=validate.Length(1, MAX_TRAIN_SYMBOLS))
    lookback = Whole(0, 10_000_000)
    test_size = Share(0.05, 0.5)
    seed = Whole(0, 2**31 - 1)
    folds = Whole(0, 50)
    horizon_bars = Whole(1, 1000)
    embargo_bars = Whole(0, 10_000)
    label_delay_bars = Whole(0, 1)
    objective = fields.String(validate=validate.OneOf(OBJECTIVES))
    feature_set = FeatureSetName()
    activate = fields.String(validate=validate.OneOf(ACTIVATIONS))
    refit = fields.String(validate=validate.OneOf(REFITS))

    @post_load
    def each_symbol_once(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if "symbols" in data:
            data["symbols"] = tuple(dict.fromkeys(data["symbols"]))
        return data


class StatusQuery(OfModel):
    run_id = RunId(load_default=None)


class ProgressOut(Schema):
    stage = fields.String()
    percent = fields.Float()
    fold = fields.Integer()
    folds = fields.Integer()
    iteration = fields.Integer()


class RunOut(Schema):
    """Every field is null while there has been no run."""

    run_id = fields.String(dump_default=None)
    state = fields.String(dump_default="idle")
    progress = fields.Nested(ProgressOut, dump_default=None)
    queued_at = Moment(dump_default=None)
    started_at = Moment(dump_default=None)
    ended_at = Moment(dump_default=None)
    version = fields.String(dump_default=None)
    error = fields.String(dump_default=None)
