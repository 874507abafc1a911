"""What admin routes take."""

from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates

from mlengine.core.runs.run import STATES
from mlengine.core.training.params import invalid_params
from mlengine.core.training.spec import ACTIVATIONS, LABELS, OBJECTIVES, REFITS
from mlengine.web.schemas.fields import (
    BoundedFloat,
    BoundedInteger,
    Cursor,
    FeatureSetName,
    ModelParameterSchema,
    QueryInteger,
    RunId,
    Symbol,
)

MAX_TRAIN_SYMBOLS = 5000
MAX_NOTE = 1000


class TrainBody(ModelParameterSchema):
    """Overrides of the configured recipe, under the names that the run records."""

    symbols = fields.List(Symbol(), validate=validate.Length(1, MAX_TRAIN_SYMBOLS))
    lookback = BoundedInteger(0, 10_000_000)
    test_size = BoundedFloat(0.05, 0.5)
    seed = BoundedInteger(0, 2**31 - 1)
    folds = BoundedInteger(0, 50)
    train_window = BoundedInteger(0, 10_000_000)
    horizon_bars = BoundedInteger(1, 1000)
    embargo_bars = BoundedInteger(0, 10_000)
    label_delay_bars = BoundedInteger(0, 1)
    objective = fields.String(validate=validate.OneOf(OBJECTIVES))
    label = fields.String(validate=validate.OneOf(LABELS))
    rounds = BoundedInteger(1, 100_000)
    params = fields.Dict(fields.String(), fields.Raw())
    feature_set = FeatureSetName()
    activate = fields.String(validate=validate.OneOf(ACTIVATIONS))
    gate_min_dates = BoundedInteger(30, 1_000_000)
    gate_margin = BoundedFloat(0.0, 1e6)
    refit = fields.String(validate=validate.OneOf(REFITS))
    cost_bps = BoundedFloat(0.0, 10_000.0)
    note = fields.String(validate=validate.Length(1, MAX_NOTE))

    @validates("params")
    def refuse_reserved_params(self, params: dict[str, Any], **_: Any) -> None:
        refused = invalid_params(params)
        if refused:
            raise ValidationError({name: [reason] for name, reason in refused.items()})

    @post_load
    def drop_repeated_symbols(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if "symbols" in data:
            data["symbols"] = tuple(dict.fromkeys(data["symbols"]))
        return data


class RunReference(ModelParameterSchema):
    """The live run, or the last, unless one is named."""

    run_id = RunId(load_default=None)


class RunsQuery(ModelParameterSchema):
    limit = QueryInteger(1, 1000, load_default=50)
    cursor = Cursor(load_default=None)
    state = fields.String(load_default=None, validate=validate.OneOf(STATES))
