"""The panel of signals, and how far the files of long ones are."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from mlengine.core.signals.signal import Signal, SignalExport
from mlengine.web.schemas.answers import Formats, Shape

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
