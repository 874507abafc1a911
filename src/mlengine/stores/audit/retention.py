"""Removing predictions by age, with the vectors and windows that only they referred to.

Loads neither Polars nor LightGBM: the worker process does it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection, Engine, delete, exists, func, select, update

from mlengine.core.timestamps import rfc3339
from mlengine.stores.database.engine import lock_tables, reading, writing
from mlengine.stores.database.tables import bar_windows, events, feature_vectors, predictions

BATCH_ROWS = 5_000


@dataclass(frozen=True)
class AuditRetention:
    """The tables of the audit; every method raises AuditUnavailable when they can't be used."""

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
        removed, event = 0, None
        while True:
            with writing(self.engine) as connection:
                count = self._remove_batch(connection, before)
                removed += count
                if not count:
                    return removed
                details = {"predictions": removed, "before": rfc3339(before)}
                event = _note(connection, event, actor=actor, at=at, details=details)

    def _remove_batch(self, connection: Connection, before: datetime) -> int:
        # In the order in which an append comes to them, so that neither waits for the other.
        lock_tables(connection, feature_vectors, bar_windows, predictions)
        row = predictions.c
        found = connection.execute(
            select(row.seq, row.vector_id)
            .where(row.at < before)
            .order_by(row.at)
            .limit(self.batch_rows)
        ).all()
        connection.execute(delete(predictions).where(row.seq.in_([each.seq for each in found])))
        _remove_unused(connection, {each.vector_id for each in found} - {None})
        return len(found)


def _remove_unused(connection: Connection, vector_ids: Collection[int]) -> None:
    """Delete those vectors that no prediction refers to, and likewise their windows."""
    vector, window = feature_vectors.c, bar_windows.c
    if not vector_ids:
        return
    unused = ~exists().where(predictions.c.vector_id == vector.id)
    gone = select(vector.id, vector.bars_hash).where(vector.id.in_(vector_ids), unused)
    found = connection.execute(gone).all()
    connection.execute(delete(feature_vectors).where(vector.id.in_([each.id for each in found])))
    without = ~exists().where(vector.bars_hash == window.bars_hash)
    hashes = {each.bars_hash for each in found}
    connection.execute(delete(bar_windows).where(window.bars_hash.in_(hashes), without))


def _note(
    connection: Connection,
    event: int | None,
    *,
    actor: str,
    at: datetime,
    details: dict[str, object],
) -> int:
    """Write the event, or what it says by now."""
    said = orjson.dumps(details).decode()
    if event is not None:
        connection.execute(update(events).where(events.c.seq == event).values(details=said))
        return event
    row = {"kind": "audit_pruned", "at": at, "version": None, "actor": actor, "details": said}
    written = connection.execute(events.insert().values(row).returning(events.c.seq))
    return int(written.scalar_one())
