"""Removing predictions by age, with the vectors and windows that only they referred to.

Loads neither Polars nor LightGBM: the worker process does it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, exists, func, select

from mlengine.core.monitoring.event import Event
from mlengine.core.timestamps import rfc3339
from mlengine.stores.database.engine import lock_tables, reading, writing
from mlengine.stores.database.events import insert_event, replace_details
from mlengine.stores.database.tables import bar_windows, feature_vectors, predictions

BATCH_ROWS = 5_000


@dataclass(frozen=True)
class AuditRetention:
    """The tables of the audit; every method raises DatabaseUnavailable when they can't be used."""

    engine: Engine
    batch_rows: int = BATCH_ROWS

    def count(self, *, before: datetime) -> int:
        """How many predictions were made before a moment."""
        query = select(func.count()).select_from(predictions).where(predictions.c.at < before)
        with reading(self.engine) as connection:
            return connection.scalar(query) or 0

    def any(self, *, before: datetime) -> bool:
        """As `count`, but only whether there is one; costs nothing."""
        query = select(predictions.c.seq).where(predictions.c.at < before).limit(1)
        with reading(self.engine) as connection:
            return connection.scalar(query) is not None

    def remove(self, *, before: datetime, actor: str, at: datetime) -> int:
        """Delete them, some thousand a transaction; returns how many.

        One event `audit_pruned` says who, when and how many; it is right after each transaction.
        """
        removed, seq = 0, None
        while True:
            with writing(self.engine) as connection:
                count = self._remove_batch(connection, before)
                if not count:
                    return removed
                removed += count
                details = {"predictions": removed, "before": rfc3339(before)}
                event = Event(
                    kind="audit_pruned", at=at, version=None, actor=actor, details=details
                )
                if seq is None:
                    seq = insert_event(connection, event)
                else:
                    replace_details(connection, seq, details)

    def _remove_batch(self, connection: Connection, before: datetime) -> int:
        # In the order in which an append comes to them, so that neither waits for the other.
        lock_tables(connection, feature_vectors, bar_windows, predictions)
        row = predictions.c
        oldest = select(row.seq, row.vector_id).where(row.at < before).order_by(row.at)
        batch = connection.execute(oldest.limit(self.batch_rows)).all()
        connection.execute(delete(predictions).where(row.seq.in_([each.seq for each in batch])))
        _remove_unused(connection, {each.vector_id for each in batch} - {None})
        return len(batch)


def _remove_unused(connection: Connection, vector_ids: Collection[int]) -> None:
    """Delete those vectors that no prediction refers to, and likewise their windows."""
    vector, window = feature_vectors.c, bar_windows.c
    if not vector_ids:
        return
    unused = ~exists().where(predictions.c.vector_id == vector.id)
    query = select(vector.id, vector.bars_hash).where(vector.id.in_(vector_ids), unused)
    rows = connection.execute(query).all()
    connection.execute(delete(feature_vectors).where(vector.id.in_([row.id for row in rows])))
    unused = ~exists().where(vector.bars_hash == window.bars_hash)
    hashes = {row.bars_hash for row in rows}
    connection.execute(delete(bar_windows).where(window.bars_hash.in_(hashes), unused))
