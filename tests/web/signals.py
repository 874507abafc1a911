"""Signals in memory, for the tests of the HTTP door: an empty panel, and no exports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from mlengine.core.signals.panel import PANEL_SCHEMA
from mlengine.core.signals.signal import SignalQuery
from mlengine.errors import ExportNotFound
from mlengine.services.signals.panel import SignalPanel


@dataclass(frozen=True)
class FakeSignalService:
    def panel(self, asked: SignalQuery, *, most_rows: int) -> SignalPanel:  # noqa: ARG002
        return SignalPanel("main", asked.as_of, None, False, 0, pl.DataFrame(schema=PANEL_SCHEMA))


@dataclass(frozen=True)
class NoExports:
    def get(self, export_id: str, *, now: datetime) -> None:  # noqa: ARG002
        raise ExportNotFound(export_id)

    open_file = get
