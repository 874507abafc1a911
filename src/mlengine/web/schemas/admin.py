"""What admin routes take."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates

from mlengine.core.runs.run import STATES
from mlengine.core.training import bounds
from mlengine.core.training.params import invalid_params
from mlengine.core.training.spec import ACTIVATIONS, ENGINES, LABELS, OBJECTIVES, REFITS
from mlengine.web.schemas.fields import (
    BoundedFloat,
    BoundedInteger,
    Cursor,
    FeatureSetName,
    QueryInteger,
    RequestSchema,
    RunId,
    Symbol,
)

MAX_TRAIN_SYMBOLS = 5000
MAX_NOTE = 1000


class TrainBody(RequestSchema):
    """Overrides of the configured recipe, under the names that the run records."""

    symbols = fields.List(Symbol(), validate=validate.Length(1, MAX_TRAIN_SYMBOLS))
    min_symbols = BoundedInteger(*bounds.MIN_SYMBOLS)
    lookback = BoundedInteger(*bounds.LOOKBACK)
    test_size = BoundedFloat(*bounds.TEST_SIZE)
    seed = BoundedInteger(*bounds.SEED)
    folds = BoundedInteger(*bounds.FOLDS)
    train_window = BoundedInteger(*bounds.TRAIN_WINDOW)
    horizon_bars = BoundedInteger(*bounds.HORIZON_BARS)
    embargo_bars = BoundedInteger(*bounds.EMBARGO_BARS)
    label_delay_bars = BoundedInteger(*bounds.LABEL_DELAY_BARS)
    objective = fields.String(validate=validate.OneOf(OBJECTIVES))
    label = fields.String(validate=validate.OneOf(LABELS))
    rounds = BoundedInteger(*bounds.ROUNDS)
    params = fields.Dict(
        fields.String(),
        fields.Raw(),
        metadata={
            "description": "LightGBM's tuning parameters; what the platform decides itself "
            "(`objective`, `seed`, `deterministic`, `num_threads`, `is_unbalance`, "
            "`scale_pos_weight`, under whatever alias) is 422"
        },
    )
    feature_set = FeatureSetName()
    activate = fields.String(validate=validate.OneOf(ACTIVATIONS))
    gate_min_dates = BoundedInteger(*bounds.GATE_MIN_DATES)
    gate_margin = BoundedFloat(*bounds.GATE_MARGIN)
    refit = fields.String(validate=validate.OneOf(REFITS))
    cost_bps = BoundedFloat(*bounds.COST_BPS)
    engine = fields.String(
        validate=validate.OneOf(ENGINES),
        metadata={
            "description": "`dask` fits on the cluster of `DASK_SCHEDULER_ADDRESS`, where there is "
            "one: the version is not `reproducible`, and never promoted by the gate"
        },
    )
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


class EmptyBody(Schema):
    """No body, or an empty object."""


class RunReference(RequestSchema):
    """The live run, or the last, unless one is named."""

    run_id = RunId(load_default=None, metadata={"description": "which run"})


class RunsQuery(RequestSchema):
    limit = QueryInteger(1, 1000, load_default=50)
    cursor = Cursor(load_default=None)
    state = fields.String(load_default=None, validate=validate.OneOf(STATES))
