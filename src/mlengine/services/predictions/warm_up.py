"""What a process does before its first request, so that none pays for what first use costs."""

from contextlib import suppress

import numpy as np
from sqlalchemy import Engine

from mlengine.core.bars.bars import RAW_SCHEMA, VALUES, BarArrays, frame_of
from mlengine.core.bars.cleaning import clean_panel
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.features import CORE, latest
from mlengine.core.features.compute import FEW_ROWS
from mlengine.core.timestamps import EPOCH
from mlengine.errors import DatabaseUnavailable
from mlengine.stores.audit.rows import ROW_STATEMENT
from mlengine.stores.audit.vectors import vector_statements
from mlengine.stores.bars.segments import segment_statements
from mlengine.stores.bars.series import series_statements
from mlengine.stores.database.engine import reading, schema_is_current
from mlengine.stores.database.many_rows import compile_ahead


def warm_up_features() -> None:
    """Judge invented bars and compute their features, as for a small batch; nothing is cached."""
    day, rows = INTERVALS["1d"], CORE.window_bars
    starts = (np.arange(rows) * (day.total_seconds() * 1e6)).astype("<i8")
    values = np.tile(np.arange(1.0, rows + 1.0), (len(VALUES), 1))
    invented = [BarArrays(f"S{i:02}", starts, values, starts) for i in range(FEW_ROWS // rows + 1)]
    raw = frame_of(invented).match_to_schema(RAW_SCHEMA, missing_columns="insert")
    clean = clean_panel(raw, interval="1d", now=EPOCH + rows * day).values()
    latest(frame_of([each.arrays for each in clean]), CORE)


def open_first_connection(database: Engine) -> None:
    """Leave a connection in the pool: the first one to a SQLite file may read all of its log.

    The statements of a batch are compiled on it. Nothing happens where there is none: the requests
    report what is wrong.
    """
    with suppress(DatabaseUnavailable):
        schema_is_current(database)
        with reading(database) as connection:
            compile_ahead(
                connection,
                [
                    *series_statements(connection),
                    *segment_statements(),
                    *vector_statements(connection),
                    ROW_STATEMENT,
                ],
            )
