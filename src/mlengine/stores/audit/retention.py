"""Removing predictions by age, with the vectors and windows that only they referred to.

Loads neither Polars nor LightGBM: the worker process does it.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, func, select

from mlengine.core.monitoring.event import Event
from mlengine.core.timestamps import rfc3339
from mlengine.stores.audit.days import (
    LOCK_SECONDS,
    detach_days,
    remove_detached,
    remove_unused,
)
from mlengine.stores.database.archive.files import ArchiveFile
from mlengine.stores.database.archive.reading import counting_files
from mlengine.stores.database.engine import lock_tables, reading, writing
from mlengine.stores.database.events import insert_event, replace_details
from mlengine.stores.database.server.partitions import create_days, days_are_missing
from mlengine.stores.database.tables import (
    bar_windows,
    feature_vectors,
    predictions,
    signal_bars,
    signal_slices,
    signals,
)

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
            count = connection.scalar(query) or 0
        return count + sum(each.rows for each in self._archived(before))

    def any(self, *, before: datetime) -> bool:
        """As `count`, but only whether there is one; costs nothing."""
        query = select(predictions.c.seq).where(predictions.c.at < before).limit(1)
        with reading(self.engine) as connection:
            return connection.scalar(query) is not None or bool(self._archived(before))

    def remove(self, *, before: datetime, actor: str, at: datetime) -> int:
        """Delete them, some thousand a transaction; returns how many.

        One event `audit_pruned` says who, when and how many; it is right after each transaction.
        """
        told = _PruneEvent(before, actor, at)
        self._remove_signals(before)
        for table in detach_days(self.engine, before=before):
            remove_detached(self.engine, table, batch_rows=self.batch_rows, removed=told.add)
        for file in self._archived(before):
            with writing(self.engine) as connection:
                told.add(connection, file.rows)
            file.remove()
        while True:
            with writing(self.engine, may_take_long=True) as connection:
                count = self._remove_batch(connection, before)
                if not count:
                    return told.removed
                told.add(connection, count)

    def _remove_signals(self, before: datetime) -> None:
        """What was said of the universe, which is in the audit as well; a transaction a bar."""
        row, said = signal_bars.c, signals.c
        oldest = select(row.id, row.model, row.bar_timestamp).where(row.final_at < before)
        while True:
            with writing(self.engine, may_take_long=True) as connection:
                bar = connection.execute(oldest.order_by(row.id).limit(1)).first()
                if bar is None:
                    return
                of_bar = said.model == bar.model, said.bar_timestamp <= bar.bar_timestamp
                connection.execute(delete(signals).where(*of_bar, said.answered_at < before))
                connection.execute(delete(signal_slices).where(signal_slices.c.bar_id == bar.id))
                connection.execute(delete(signal_bars).where(row.id == bar.id))

    def _archived(self, before: datetime) -> list[ArchiveFile]:
        """The files of whole days that end by then."""
        return [each for each in counting_files(self.engine) if each.until <= before]

    def prepare_days(self, *, now: datetime) -> None:
        """Have a partition for today and the coming days, where the database has partitions."""
        with reading(self.engine) as connection:
            if not days_are_missing(connection, now=now):
                return
        with writing(self.engine, lock_timeout_seconds=LOCK_SECONDS) as connection:
            create_days(connection, now=now)

    def _remove_batch(self, connection: Connection, before: datetime) -> int:
        # In the order in which an append comes to them, so that neither waits for the other.
        lock_tables(connection, feature_vectors, bar_windows, predictions)
        row = predictions.c
        oldest = select(row.seq, row.vector_id).where(row.at < before).order_by(row.at)
        batch = connection.execute(oldest.limit(self.batch_rows)).all()
        connection.execute(delete(predictions).where(row.seq.in_([each.seq for each in batch])))
        remove_unused(connection, {each.vector_id for each in batch} - {None})
        return len(batch)


@dataclass
class _PruneEvent:
    """The one event of a pruning, which is right after each of its transactions."""

    before: datetime
    actor: str
    at: datetime
    removed: int = 0
    _seq: int | None = None

    def add(self, connection: Connection, count: int) -> None:
        self.removed += count
        details = {"predictions": self.removed, "before": rfc3339(self.before)}
        if self._seq is not None:
            replace_details(connection, self._seq, details)
            return
        event = Event(
            kind="audit_pruned", at=self.at, version=None, actor=self.actor, details=details
        )
        self._seq = insert_event(connection, event)
