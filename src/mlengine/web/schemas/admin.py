"""What admin routes take and give."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates

from mlengine.core.runs.run import STATES
from mlengine.core.training.params import refused_params
from mlengine.core.training.spec import ACTIVATIONS, LABELS, OBJECTIVES, REFITS
from mlengine.web.schemas.fields import (
    Cursor,
    FeatureSetName,
    Moment,
    OfModel,
    RunId,
    Share,
    Symbol,
    Whole,
    WholeText,
)

MAX_TRAIN_SYMBOLS = 5000
MAX_NOTE = 1000


class TrainBody(OfModel):
    """Overrides of the configured recipe, under the names that the run records."""

    symbols = fields.List(Symbol(), validate=validate.Length(1, MAX_TRAIN_SYMBOLS))
    lookback = Whole(0, 10_000_000)
    test_size = Share(0.05, 0.5)
    seed = Whole(0, 2**31 - 1)
    folds = Whole(0, 50)
    train_window = Whole(0, 10_000_000)
    horizon_bars = Whole(1, 1000)
    embargo_bars = Whole(0, 10_000)
    label_delay_bars = Whole(0, 1)
    objective = fields.String(validate=validate.OneOf(OBJECTIVES))
    label = fields.String(validate=validate.OneOf(LABELS))
    rounds = Whole(1, 100_000)
    params = fields.Dict(fields.String(), fields.Raw())
    feature_set = FeatureSetName()
    activate = fields.String(validate=validate.OneOf(ACTIVATIONS))
    gate_min_dates = Whole(30, 1_000_000)
    gate_margin = Share(0.0, 1e6)
    refit = fields.String(validate=validate.OneOf(REFITS))
    cost_bps = Share(0.0, 10_000.0)
    note = fields.String(validate=validate.Length(1, MAX_NOTE))

    @validates("params")
    def only_tuning(self, params: dict[str, Any], **_: Any) -> None:
        refused = refused_params(params)
        if refused:
            raise ValidationError({name: [said] for name, said in refused.items()})

    @post_load
    def each_symbol_once(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if "symbols" in data:
            data["symbols"] = tuple(dict.fromkeys(data["symbols"]))
        return data


class StatusQuery(OfModel):
    run_id = RunId(load_default=None)


class CancelBody(OfModel):
    """The live run unless one is named."""

    run_id = RunId(load_default=None)


class RunsQuery(OfModel):
    limit = WholeText(1, 1000, load_default=50)
    cursor = Cursor(load_default=None)
    state = fields.String(load_default=None, validate=validate.OneOf(STATES))


class ProgressOut(Schema):
    stage = fields.String()
    percent = fields.Float()
    fold = fields.Integer()
    folds = fields.Integer()
    iteration = fields.Integer()


class RunOut(Schema):
    """Every field is null while there has been no run."""

    run_id = fields.String(dump_default=None)
    kind = fields.String(dump_default=None)
    state = fields.String(dump_default="idle")
    sequence = fields.Integer(dump_default=None)
    progress = fields.Nested(ProgressOut, dump_default=None)
    eta_seconds = fields.Float(dump_default=None)
    queued_at = Moment(dump_default=None)
    started_at = Moment(dump_default=None)
    ended_at = Moment(dump_default=None)
    lease_until = Moment(dump_default=None)
    version = fields.String(dump_default=None)
    error = fields.String(dump_default=None)
    result = fields.Raw(dump_default=None)
    parameters = fields.Raw(dump_default=None)
    note = fields.String(dump_default=None)
    actor = fields.String(dump_default=None)
    request_id = fields.String(dump_default=None)
    log = fields.Raw(dump_default=None)
