"""What a process does before its first request, so that none pays for what first use costs."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from sqlalchemy import Engine

from mlengine.core.bars.bars import RAW_SCHEMA, VALUES, Columns, frame_of
from mlengine.core.bars.cleaning import clean_panel
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.features import CORE, latest
from mlengine.core.features.compute import FEW_ROWS
from mlengine.core.timestamps import EPOCH
from mlengine.errors import AuditUnavailable
from mlengine.stores.database.engine import schema_is_current


def warm_up() -> None:
    """Judge invented bars and compute their features, as for a small batch; nothing is kept."""
    day, bars = INTERVALS["1d"], CORE.window_bars
    starts = np.arange(bars) * (day.total_seconds() * 1e6)
    values = np.tile(np.arange(1.0, bars + 1.0), (len(VALUES), 1))
    invented = frame_of(
        [Columns(f"S{i:02}", starts.astype("<i8"), values) for i in range(FEW_ROWS // bars + 1)]
    )
    raw = invented.match_to_schema(RAW_SCHEMA, missing_columns="insert")
    judged = clean_panel(raw, interval="1d", now=EPOCH + bars * day).values()
    latest(frame_of([each.columns for each in judged]), CORE)


def connect(database: Engine) -> None:
    """Leave a connection in the pool: the first one to a SQLite file may read all of its log.

    Where there is none to be had nothing happens; what is wrong, requests say.
    """
    with suppress(AuditUnavailable):
        schema_is_current(database)
