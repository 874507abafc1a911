"""`/predictions/…`: the audited predictions, and their replay."""

import re
from typing import Any

from marshmallow import Schema, fields, post_load, validate

from mlengine.core.predictions.prediction import AuditRow
from mlengine.errors import PredictionNotFound
from mlengine.web.schemas.fields import (
    Cursor,
    QueryInteger,
    RangeSchema,
    Symbol,
    Version,
)

PREDICTION_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class RecentQuery(RangeSchema):
    limit = QueryInteger(1, 1000, load_default=50)
    symbol = Symbol(load_default=None)
    version = Version(load_default=None)
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


def prediction_id_of_path(text: str) -> str:
    """The id of a prediction from a path; raises PredictionNotFound for what can't be one."""
    if not PREDICTION_ID.fullmatch(text):
        raise PredictionNotFound(text)
    return text
