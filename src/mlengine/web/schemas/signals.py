"""`/signals`: the panel, and the files of long ones."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from marshmallow import fields, post_load, validate

from mlengine.core.signals.signal import Signal, SignalExport, SignalQuery
from mlengine.web.http.requests import request_time
from mlengine.web.schemas.answers import Formats, Shape
from mlengine.web.schemas.fields import AsOfField, RequestSchema, Symbol, TimeBound, Version

if TYPE_CHECKING:
    from mlengine.services.signals.panel import SignalPanel

JSON_FORMAT = "json"
MEDIA_TYPES = {
    JSON_FORMAT: "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.file",
    "parquet": "application/vnd.apache.parquet",
}
FILE_MEDIA_TYPES = tuple(kind for name, kind in MEDIA_TYPES.items() if name != JSON_FORMAT)


class SignalsQuery(RequestSchema):
    since = TimeBound(
        load_default=None, metadata={"description": "bars from then on; a date is its beginning"}
    )
    until = TimeBound(load_default=None, metadata={"description": "bars before then"})
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
        return {"format": data.pop("format"), "asked": SignalQuery(**data)}


class PanelHistory(TypedDict):
    version: str
    out_of_fold: bool


class SignalsAnswer(TypedDict):
    model: str
    as_of: datetime | None
    history: PanelHistory | None
    pending: int
    signals: list[Signal]


class AcceptedExport(TypedDict):
    export_id: str
    state: Literal["queued", "running"]


class ExportQuery(TypedDict):
    since: datetime | None
    until: datetime | None
    as_of: datetime | None
    version: str | None
    symbol: str | None


SIGNALS = Formats(Shape("Signals", SignalsAnswer), FILE_MEDIA_TYPES)
EXPORT = Shape(
    "SignalExport",
    SignalExport,
    without=("id",),
    members={"export_id": str, "query": ExportQuery, "file": str | None},
)


def panel_body(panel: SignalPanel) -> dict[str, Any]:
    """Times are the encoder's to write."""
    version = panel.history_version
    history = {"version": version, "out_of_fold": panel.history_has_folds} if version else None
    return {
        "model": panel.model,
        "as_of": panel.as_of,
        "history": history,
        "pending": panel.pending,
        "signals": panel.rows.to_dicts(),
    }


def export_body(export: SignalExport, file: str | None) -> dict[str, Any]:
    """With the address of its `file`, null as long as there is none."""
    body = {**vars(export), "export_id": export.id, "query": vars(export.query), "file": file}
    del body["id"]
    return body
