"""`/models`, one model, and what an activation did."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from mlengine.web.schemas.fields import ModelLineSchema, Timestamp, Version


class ComparisonQuery(ModelLineSchema):
    a = Version(required=True)
    b = Version(required=True)


class ActivationBody(ModelLineSchema):
    reason = fields.String(validate=validate.Length(1, 500), load_default=None)


class MeasureOut(Schema):
    """`low` to `high` holds 95 %; a null `value` or interval has its `reason`."""

    value = fields.Float()
    low = fields.Float()
    high = fields.Float()
    baseline = fields.Float()
    baseline_kind = fields.String()
    other_baselines = fields.Dict()
    reason = fields.String()


class VerdictOut(Schema):
    """What the one primary metric says: `edge`, `no_edge` or `worse`."""

    verdict = fields.String()
    metric = fields.String()
    value = fields.Float()
    null = fields.Float()
    low = fields.Float()
    high = fields.Float()


class ModelSummaryOut(Schema):
    """A version whose files are refused has a status and nulls."""

    version = fields.String()
    created_at = Timestamp()
    trained_through = Timestamp()
    status = fields.String()
    fingerprint = fields.String()
    metrics = fields.Dict(values=fields.Nested(MeasureOut), allow_none=True)
    verdict = fields.Nested(VerdictOut, allow_none=True)
    is_active = fields.Boolean()
    pinned = fields.Boolean()


class ModelsOut(Schema):
    active_version = fields.String()
    models = fields.List(fields.Nested(ModelSummaryOut))


class CommonRowsOut(Schema):
    rows = fields.Integer()
    dates = fields.Integer()
    symbols = fields.Integer()
    start = Timestamp()
    end = Timestamp()


class MetricPairOut(Schema):
    metric = fields.String()
    a = fields.Float()
    b = fields.Float()


class DieboldMarianoOut(Schema):
    dates = fields.Integer()
    mean_difference = fields.Float()
    statistic = fields.Float()
    p_value = fields.Float()
    kernel = fields.String()
    lags = fields.Integer()


class RecipeDiffOut(Schema):
    field = fields.String()
    a = fields.Raw()
    b = fields.Raw()


class ComparisonOut(Schema):
    """Null figures have a `reason`."""

    a = fields.String()
    b = fields.String()
    loss = fields.String()
    reason = fields.String()
    common = fields.Nested(CommonRowsOut)
    metrics = fields.List(fields.Nested(MetricPairOut))
    test = fields.Nested(DieboldMarianoOut)
    correlation = fields.Float()
    rank_correlation = fields.Float()
    recipe = fields.List(fields.Nested(RecipeDiffOut))


class ActivationOut(Schema):
    active_version = fields.String()
    previous_version = fields.String()
    generation = fields.Integer()
    actor = fields.String()


class LoadedModelOut(Schema):
    loaded_version = fields.String(attribute="version")
    fingerprint = fields.String(attribute="manifest.fingerprint")
    generation = fields.Integer()
