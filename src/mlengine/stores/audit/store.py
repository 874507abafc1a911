"""The audit: one committed row for each prediction, failures included, before its answer.

Writing is here; what monitoring reads from it stands in `reader.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from sqlalchemy import Connection, Engine, delete, select

from mlengine.core.monitoring.event import Event
from mlengine.errors import DatabaseUnavailable
from mlengine.stores.audit.entries import AuditEntry, Values, entry_tuple
from mlengine.stores.audit.reader import AuditReader
from mlengine.stores.audit.rows import insert_rows
from mlengine.stores.audit.vectors import store_vectors
from mlengine.stores.audit.writer.group_writer import GroupWriter, WriteAgain
from mlengine.stores.audit.writer.opening import group_writer_for
from mlengine.stores.database.archive.files import archive_of
from mlengine.stores.database.archive.reading import counting_files
from mlengine.stores.database.engine import lock_tables, writing
from mlengine.stores.database.events import insert_event
from mlengine.stores.database.tables import (
    bar_windows,
    drift_progress,
    drift_tallies,
    feature_vectors,
    predictions,
    signal_bars,
    signal_slices,
    signals,
)
from mlengine.stores.database.write_probe import WriteProbe
from mlengine.stores.system.dependency_states import DependencyStates


@dataclass(frozen=True)
class AuditStore(AuditReader):
    """The tables of the audit; every method raises DatabaseUnavailable when they can't be used.

    `states` has as `audit` whether the last write succeeded. `lock_seconds` is how long an append
    waits for other writers, by default what the engine was opened with.
    """

    engine: Engine
    states: DependencyStates = field(default_factory=DependencyStates, compare=False)
    lock_seconds: float | None = None
    probe: WriteProbe = field(default_factory=WriteProbe, compare=False, repr=False)

    def append(self, records: Sequence[AuditEntry]) -> None:
        """Write all records or none; they are committed when this returns."""
        if not records:
            return
        with self._outcome_recorded():
            values = [entry_tuple(entry) for entry in records]
            if not self._insert_directly(records, values, may_wait=True):
                self._insert_with_vectors(records, values)

    def append_within(
        self, records: Sequence[AuditEntry], within: Callable[[Connection], None]
    ) -> None:
        """As `append`, in one transaction with what is done `within`; nothing is ever spooled."""
        with self._outcome_recorded():
            values = [entry_tuple(entry) for entry in records]
            self._insert_with_vectors(records, values, within)

    @property
    def supports_direct_append(self) -> bool:
        """Whether rows whose vectors are stored can be written at once, without SQLAlchemy."""
        return self._group_writer is not None and self._group_writer.is_ready

    def append_rows_directly(self, records: Sequence[AuditEntry]) -> bool:
        """As `append` where the rows alone have to be written and can be; else False, and none is.

        It may take some 50 ms to find out that another process keeps the database locked.
        """
        values = [entry_tuple(entry) for entry in records]
        inserted = self._insert_directly(records, values, may_wait=False)
        if inserted:
            self.states.record("audit", "ok")
        return inserted

    def _insert_directly(
        self, records: Sequence[AuditEntry], values: Sequence[Values], *, may_wait: bool
    ) -> bool:
        if self._group_writer is None:
            return False
        keys = [entry.scored.key if entry.scored else None for entry in records]
        rows = list(zip(values, keys, strict=True))
        return self._group_writer.insert(rows, records, may_wait=may_wait)

    def _insert_with_vectors(
        self,
        records: Sequence[AuditEntry],
        values: Sequence[Values],
        within: Callable[[Connection], None] | None = None,
    ) -> None:
        seconds = self.lock_seconds if within is None else None
        with writing(self.engine, lock_timeout_seconds=seconds) as connection:
            ids = store_vectors(connection, [entry.scored for entry in records if entry.scored])
            vector_ids = [ids[entry.scored.key] if entry.scored else None for entry in records]
            insert_rows(connection, list(zip(values, vector_ids, strict=True)))
            if within is not None:
                within(connection)
        if self._group_writer:
            self._group_writer.cache_ids(ids)

    @cached_property
    def _group_writer(self) -> GroupWriter | None:
        return group_writer_for(self.engine, self._write_again)

    @property
    def _write_again(self) -> WriteAgain | None:
        """What takes rows that a server has lost, where there is such; each commit waits else."""
        return None

    def clear(self, *, actor: str, at: datetime) -> int:
        """Delete every prediction, vector, window and signal, and what was counted for drift.

        Returns how many predictions.

        The event that says who did it and how many is written in the same transaction.
        """
        with writing(self.engine, may_take_long=True) as connection:
            # In the order in which an append comes to them, so that neither waits for the other.
            lock_tables(connection, feature_vectors, bar_windows, predictions)
            count = connection.execute(delete(predictions)).rowcount
            connection.execute(delete(feature_vectors))
            for table in (bar_windows, drift_tallies, drift_progress, signals):
                connection.execute(delete(table))
            _forget_scored_bars(connection, at)
            archived = sum(each.rows for each in counting_files(self.engine))
            details = {"predictions": count + archived}
            cleared = Event(kind="audit_cleared", at=at, version=None, actor=actor, details=details)
            insert_event(connection, cleared)
        archive = archive_of(self.engine)
        return count + (archive.remove_all() if archive else 0)

    def writable(self) -> bool:
        """Whether a prediction could be written now; a real write finds out, once a second."""
        try:
            with self._outcome_recorded():
                self.probe.write(self.engine)
        except DatabaseUnavailable:
            return False
        return True

    def state(self) -> str:
        """How the audit does, for `/health`."""
        return self.states.state("audit")

    @contextmanager
    def _outcome_recorded(self) -> Iterator[None]:
        try:
            yield
        except DatabaseUnavailable:
            self.states.record("audit", "down")
            raise
        self.states.record("audit", "ok")


def _forget_scored_bars(connection: Connection, at: datetime) -> None:
    """Those of which all was said; one that could be planned again stays without its slices."""
    row = signal_bars.c
    said = select(row.id).where(row.completed_at.is_not(None))
    connection.execute(delete(signal_slices).where(signal_slices.c.bar_id.in_(said)))
    connection.execute(
        delete(signal_bars).where(row.completed_at.is_not(None), row.give_up_at <= at)
    )
