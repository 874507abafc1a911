"""What is asked of signals."""

import re
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from mlengine.core.signals.signal import SignalQuery
from mlengine.core.timestamps import rfc3339
from mlengine.errors import ExportNotFound
from mlengine.web.http.requests import request_time
from mlengine.web.schemas.fields import AsOfField, RangeSchema, Symbol, Version
from mlengine.web.schemas.signals.answers import MEDIA_TYPES

EXPORT_ID = re.compile(r"[0-9a-f]{32}")


class SignalsQuery(RangeSchema):
    """`since` and `until` are of bars."""

    as_of = AsOfField(
        request_time,
        load_default=None,
        metadata={"description": "what was known then; a date is its end. Now without it"},
    )
    version = Version(
        load_default=None,
        metadata={"description": "what this one said; each bar's champion without it"},
    )
    symbol = Symbol(load_default=None)
    format = fields.String(
        validate=validate.OneOf(tuple(MEDIA_TYPES)),
        load_default=None,
        metadata={"description": "as `Accept` says without it, JSON by default"},
    )

    @post_load
    def make_query(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """`format`, and the rest as `asked`."""
        data.pop("model", None)
        as_of = data["as_of"]
        if as_of is not None and as_of > request_time():  # the end of the present day
            raise ValidationError({"as_of": [f"is in the future: {rfc3339(as_of)}"]})
        return {"format": data.pop("format"), "asked": SignalQuery(**data)}


def export_id_of_path(text: str) -> str:
    """The id of an export from a path; raises ExportNotFound for what can't be one."""
    if not EXPORT_ID.fullmatch(text):
        raise ExportNotFound(text)
    return text
