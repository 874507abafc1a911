"""`/predictions/…`: the audited predictions, and their replay."""

from typing import Any

from marshmallow import Schema, fields, post_load, validate

from mlengine.core.predictions.prediction import AuditRow
from mlengine.web.schemas.fields import (
    Cursor,
    QueryInteger,
    RequestSchema,
    Symbol,
    TimeBound,
    Version,
)


class RecentQuery(RequestSchema):
    limit = QueryInteger(1, 1000, load_default=50)
    symbol = Symbol(load_default=None)
    version = Version(load_default=None)
    since = TimeBound(
        load_default=None, metadata={"description": "from then on; a date is its beginning"}
    )
    until = TimeBound(load_default=None, metadata={"description": "before then"})
    status = fields.String(validate=validate.OneOf(("ok", "error")), load_default=None)
    cursor = Cursor(load_default=None)

    @post_load
    def rename_status(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        status = data.pop("status")
        return {**data, "ok": None if status is None else status == "ok"}


class ReplayBody(Schema):
    upstream = fields.Boolean(
        load_default=True,
        truthy={True},
        falsy={False},
        metadata={"description": "whether the same bars are fetched from the upstream, too"},
    )


def audit_row_body(row: AuditRow) -> dict[str, Any]:
    """As `/predict`, with when and where; a failure has nulls and its error."""
    body = dict(vars(row))
    ok, code, detail = (body.pop(name) for name in ("ok", "error_code", "error_detail"))
    if ok:
        return {**body, "status": "ok", "error": None}
    return {**body, "status": "error", "error": {"code": code, "detail": detail}}
