"""`/predictions/…`: what was predicted, and what comes of making it again."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, post_load, validate

from mlengine.core.predictions.prediction import AuditRow
from mlengine.web.schemas.fields import (
    Cursor,
    Instant,
    Moment,
    OfModel,
    Symbol,
    Version,
    WholeText,
)
from mlengine.web.schemas.predict import PredictionOut


class RecentQuery(OfModel):
    limit = WholeText(1, 1000, load_default=50)
    symbol = Symbol(load_default=None)
    version = Version(load_default=None)
    since = Instant(load_default=None)
    until = Instant(load_default=None)
    status = fields.String(validate=validate.OneOf(("ok", "error")), load_default=None)
    cursor = Cursor(load_default=None)

    @post_load
    def status_as_flag(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        status = data.pop("status")
        return {**data, "ok": None if status is None else status == "ok"}


class PredictionQuery(OfModel):
    """Only `model=`."""


class ReplayBody(Schema):
    upstream = fields.Boolean(load_default=True, truthy={True}, falsy={False})


class RecentRowOut(PredictionOut):
    """As `/predict`, with when and where; a failure has nulls and its error."""

    status = fields.Method("outcome")
    error = fields.Method("refusal")
    at = Moment()
    route = fields.String()

    def outcome(self, row: AuditRow) -> str:
        return "ok" if row.ok else "error"

    def refusal(self, row: AuditRow) -> dict[str, str | None] | None:
        return None if row.ok else {"code": row.error_code, "detail": row.error_detail}


class RecentOut(Schema):
    predictions = fields.List(fields.Nested(RecentRowOut), attribute="rows")
    next_cursor = fields.String()


class ReplayedOut(Schema):
    """`status` and `upstream` are words of `core/replay.py`."""

    prediction_id = fields.String()
    symbol = fields.String()
    bar_timestamp = Moment()
    model_version = fields.String()
    status = fields.String()
    recorded_score = fields.Float()
    replayed_score = fields.Float()
    differing_features = fields.List(fields.String())
    reason = fields.String()
    upstream = fields.String()
