"""What a prediction was made of, as it was audited: its row, its vector and its window of bars."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from sqlalchemy import Engine, Row, select

from mlengine.core.predictions.prediction import AuditRow
from mlengine.stores.audit.filter import AuditFilter
from mlengine.stores.audit.prediction_reader import audit_row, row_query
from mlengine.stores.audit.windows import decode_window
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import bar_windows, feature_vectors, predictions

_QUERY = (
    row_query()
    .add_columns(feature_vectors.c.payload, bar_windows.c.rows, bar_windows.c.payload.label("bars"))
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
    """The tables of the audit; every method raises DatabaseUnavailable when they can't be used."""

    engine: Engine

    def get(self, prediction_id: str) -> ReplayInputs | None:
        """What one prediction was made of, None where there is no such prediction."""
        query = _QUERY.where(predictions.c.prediction_id == prediction_id)
        with reading(self.engine) as connection:
            row = connection.execute(query).first()
        return None if row is None else _replay_inputs(row)

    def row_ids(self, audit_filter: AuditFilter) -> list[int]:
        """The row ids (`seq`) of the selected predictions, oldest first."""
        query = audit_filter.apply(select(predictions.c.seq)).order_by(predictions.c.seq)
        with reading(self.engine) as connection:
            return list(connection.scalars(query))

    def get_many(self, row_ids: Sequence[int]) -> list[ReplayInputs]:
        """What these were made of, oldest first, as far as they are there still."""
        query = _QUERY.where(predictions.c.seq.in_(row_ids)).order_by(predictions.c.seq)
        with reading(self.engine) as connection:
            return [_replay_inputs(row) for row in connection.execute(query)]


def _replay_inputs(row: Row[tuple[object, ...]]) -> ReplayInputs:
    has_window = row.bars is not None
    window = decode_window(row.symbol, row.rows, row.bars).frame() if has_window else None
    return ReplayInputs(audit_row(row), row.payload, window)
