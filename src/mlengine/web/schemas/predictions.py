"""`/predictions/…`: the audited predictions, and their replay."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, post_load, validate

from mlengine.core.predictions.prediction import AuditRow
from mlengine.web.schemas.fields import (
    Cursor,
    ModelLineSchema,
    QueryInteger,
    Symbol,
    TimeBound,
    Timestamp,
    Version,
)
from mlengine.web.schemas.predict import PredictionOut


class RecentQuery(ModelLineSchema):
    limit = QueryInteger(1, 1000, load_default=50)
    symbol = Symbol(load_default=None)
    version = Version(load_default=None)
    since = TimeBound(load_default=None)
    until = TimeBound(load_default=None)
    status = fields.String(validate=validate.OneOf(("ok", "error")), load_default=None)
    cursor = Cursor(load_default=None)

    @post_load
    def rename_status(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        status = data.pop("status")
        return {**data, "ok": None if status is None else status == "ok"}


class ReplayBody(Schema):
    upstream = fields.Boolean(load_default=True, truthy={True}, falsy={False})


class RecentRowOut(PredictionOut):
    """As `/predict`, with when and where; a failure has nulls and its error."""

    status = fields.Method("status_of")
    error = fields.Method("error_of")
    at = Timestamp()
    route = fields.String()

    def status_of(self, row: AuditRow) -> str:
        return "ok" if row.ok else "error"

    def error_of(self, row: AuditRow) -> dict[str, str | None] | None:
        return None if row.ok else {"code": row.error_code, "detail": row.error_detail}


class RecentOut(Schema):
    predictions = fields.List(fields.Nested(RecentRowOut), attribute="rows")
    next_cursor = fields.String()
