"""What a prediction was made of, as it was audited: its row, its vector and its window of bars."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl
from sqlalchemy import Engine, Row, select

from mlengine.core.bars.recorded import RecordedWindow
from mlengine.core.predictions.prediction import AuditRow
from mlengine.core.timestamps import EPOCH
from mlengine.errors import DamagedRow
from mlengine.stores.audit.filter import AuditFilter
from mlengine.stores.audit.prediction_reader import audit_row, row_query
from mlengine.stores.audit.windows import decode_window
from mlengine.stores.bars.recorded_windows import RecordedWindowReader
from mlengine.stores.database.archive.reading import archived_rows, merged
from mlengine.stores.database.archive.selection import Selection
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import (
    MICROSECOND,
    bar_windows,
    feature_vectors,
    predictions,
)

_QUERY = (
    row_query()
    .add_columns(*feature_vectors.c["payload", "bars_recorded_by"])
    .add_columns(bar_windows.c.rows, bar_windows.c.payload.label("bars"))
    .outerjoin(bar_windows, feature_vectors.c.bars_hash == bar_windows.c.bars_hash)
)


@dataclass(frozen=True, eq=False)
class ReplayInputs:
    """`vector` is the stored bytes (see `vectors.py`); a failure has neither."""

    row: AuditRow
    vector: bytes | None
    window: pl.DataFrame | None


@dataclass(frozen=True)
class ReplayInputStore:
    """The tables of the audit and of the recorded bars; every method raises DatabaseUnavailable."""

    engine: Engine

    def get(self, prediction_id: str) -> ReplayInputs | None:
        """What one prediction was made of, None where there is no such prediction."""
        query = _QUERY.where(predictions.c.prediction_id == prediction_id)
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        meant = Selection(among={"prediction_id": [prediction_id]})
        rows = rows or archived_rows(self.engine, query, meant)
        return self._inputs(rows)[0] if rows else None

    def row_ids(self, audit_filter: AuditFilter) -> list[int]:
        """The row ids (`seq`) of the selected predictions, oldest first."""
        query = audit_filter.apply(select(predictions.c.seq)).order_by(predictions.c.seq)
        with reading(self.engine) as connection:
            numbers = list(connection.scalars(query))
        archived = archived_rows(self.engine, query, audit_filter.selection())
        return sorted({*numbers, *(row.seq for row in archived)})

    def get_many(self, row_ids: Sequence[int]) -> list[ReplayInputs]:
        """What these were made of, oldest first, as far as they are there still."""
        query = _QUERY.where(predictions.c.seq.in_(row_ids)).order_by(predictions.c.seq)
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        if len(rows) < len(row_ids):
            meant = Selection(among={"seq": row_ids})
            archived = archived_rows(self.engine, query, meant)
            rows = merged(rows, archived)
        return self._inputs(rows)

    def _inputs(self, rows: Sequence[Row[tuple[object, ...]]]) -> list[ReplayInputs]:
        inputs = list(map(_replay_inputs, rows))
        recorded = {
            number: _recorded_window(inputs[number].row, int(row.bars_recorded_by))
            for number, row in enumerate(rows)
            if row.bars_recorded_by is not None and inputs[number].window is None
        }
        windows = RecordedWindowReader(self.engine).read(list(recorded.values()))
        for number, window in zip(recorded, windows, strict=True):
            if window is not None:
                inputs[number] = replace(inputs[number], window=window.frame())
        return inputs


def _replay_inputs(row: Row[tuple[object, ...]]) -> ReplayInputs:
    has_window = row.bars is not None
    window = decode_window(row.symbol, row.rows, row.bars).frame() if has_window else None
    return ReplayInputs(audit_row(row), row.payload, window)


def _recorded_window(row: AuditRow, recorded_by: int) -> RecordedWindow:
    """The window of a prediction that was made."""
    bar, interval, feature_set = row.bar_timestamp, row.interval, row.feature_set
    if bar is None or interval is None or feature_set is None:
        raise DamagedRow
    last_start = (bar - EPOCH) // MICROSECOND
    return RecordedWindow(row.symbol, interval, last_start, feature_set.window_bars, recorded_by)
