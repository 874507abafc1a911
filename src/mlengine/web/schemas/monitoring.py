"""The four `/monitoring` routes."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from mlengine.core.monitoring.event import EVENT_KINDS
from mlengine.web.schemas.fields import Cursor, ModelLineSchema, QueryInteger, Timestamp, Version

_DAY = 86_400


class DriftQuery(ModelLineSchema):
    """`window` counts distinct bars, the newest first."""

    window = QueryInteger(1, 100_000, load_default=250)
    version = Version(load_default=None)


class HistoryQuery(ModelLineSchema):
    kind = fields.String(validate=validate.OneOf(EVENT_KINDS), load_default=None)
    limit = QueryInteger(1, 1000, load_default=50)
    cursor = Cursor(load_default=None)


class LatencyQuery(ModelLineSchema):
    """`window` is in seconds."""

    window = QueryInteger(1, 30 * _DAY, load_default=3600)


class FeatureDriftOut(Schema):
    feature = fields.String()
    psi = fields.Float()
    ks = fields.Float()
    threshold = fields.Float()
    drifted = fields.Boolean()


class DriftOut(Schema):
    status = fields.String()
    model_version = fields.String()
    n_reference = fields.Integer()
    n_current = fields.Integer()
    features = fields.List(fields.Nested(FeatureDriftOut))
    prediction_drift = fields.Nested(FeatureDriftOut)


class EventOut(Schema):
    kind = fields.String()
    at = Timestamp()
    version = fields.String()
    actor = fields.String()
    details = fields.Raw()


class HistoryOut(Schema):
    events = fields.List(fields.Nested(EventOut), attribute="rows")
    next_cursor = fields.String()


class SymbolFreshnessOut(Schema):
    symbol = fields.String()
    last_bar = Timestamp()
    age_seconds = fields.Float()
    age_bars = fields.Float()
    stale = fields.Boolean()


class ModelFreshnessOut(Schema):
    version = fields.String()
    trained_at = Timestamp()
    age_seconds = fields.Float()
    trained_through = Timestamp()


class FreshnessOut(Schema):
    symbols = fields.List(fields.Nested(SymbolFreshnessOut))
    model = fields.Nested(ModelFreshnessOut)
    last_prediction_at = Timestamp()


class StageLatencyOut(Schema):
    route = fields.String()
    stage = fields.String()
    count = fields.Integer()
    p50_ms = fields.Float()
    p90_ms = fields.Float()
    p99_ms = fields.Float()
    max_ms = fields.Float()
    error_rate = fields.Float()


class LatencyOut(Schema):
    window_seconds = fields.Integer()
    routes = fields.List(fields.Nested(StageLatencyOut))
