"""The audit with a spool: what its tables can't take now waits on disk, and is answered."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.audit.entries import AuditEntry, entry_dict
from mlengine.stores.audit.rows import restore_rows
from mlengine.stores.audit.spool.lines import SpooledRow
from mlengine.stores.audit.spool.spool import AuditSpool
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.audit.vectors import store_vectors
from mlengine.stores.audit.writer.group_writer import WriteAgain
from mlengine.stores.database.engine import writing
from mlengine.stores.system import atomic_files

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SpooledAuditStore(AuditStore):
    """As AuditStore, but an append fails only when its spool can't be written either."""

    spool: AuditSpool
    lock_seconds: float | None = 0.2  # the spool takes what must wait longer

    def append(self, records: Sequence[AuditEntry]) -> None:
        """Write all records or none; they are on disk when this returns.

        What the tables can't take is spooled, and put into them by the next append that succeeds,
        of whichever process. Raises DatabaseUnavailable when neither can be written.
        """
        try:
            super().append(records)
        except DatabaseUnavailable as refusal:
            self.spool.write([SpooledRow(entry_dict(entry), entry.scored) for entry in records])
            self.states.record("audit", "degraded")
            log.warning("audit spooled", extra={"rows": len(records), "reason": refusal.reason})
        else:
            self._drain_some()

    def append_rows_directly(self, records: Sequence[AuditEntry]) -> bool:
        """As AuditStore's; False also while rows are spooled, which an append has to put back."""
        return self.spool.is_empty and super().append_rows_directly(records)

    def drain(self, *, most_files: int | None = None) -> None:
        """Put spooled rows into the tables; raises DatabaseUnavailable when some have to stay.

        Those in files that were set aside as damaged stay in any case.
        """
        try:
            self.spool.drain(self._restore, most_files=most_files)
        except OSError as error:
            raise DatabaseUnavailable(
                f"its spool can't be emptied: {atomic_files.describe_error(error)}"
            ) from error

    def clear(self, *, actor: str, at: datetime) -> int:
        """As AuditStore's; what is spooled is cleared with the rest."""
        self.drain()
        return super().clear(actor=actor, at=at)

    def state(self) -> str:
        """`degraded` also while rows of another process are spooled."""
        state = super().state()
        return state if state == "down" or self.spool.is_empty else "degraded"

    @property
    def _write_again(self) -> WriteAgain:
        return self._spool_again

    def _spool_again(self, entries: Sequence[AuditEntry]) -> None:
        """Rows whose server has gone before it had them on disk."""
        try:
            self.spool.write([SpooledRow(entry_dict(entry), entry.scored) for entry in entries])
        except DatabaseUnavailable:
            log.exception("audit rows perhaps lost", extra={"rows": len(entries)})
        else:
            log.warning("audit rows spooled again", extra={"rows": len(entries)})

    def _drain_some(self) -> None:
        """What an append that succeeded does for those that did not; it fails nobody."""
        try:
            self.drain(most_files=1)
        except DatabaseUnavailable as refusal:
            log.warning("audit spool not replayed yet", extra={"reason": refusal.reason})

    def _restore(self, rows: Sequence[SpooledRow]) -> None:
        """Write rows in the order in which they were answered; those that are there stay.

        On disk when this returns, as they are in the spool.
        """
        with writing(
            self.engine, lock_timeout_seconds=self.lock_seconds, survives_power_cut=True
        ) as connection:
            ids = store_vectors(connection, [row.vector for row in rows if row.vector])
            vector_ids = [ids[row.vector.key] if row.vector else None for row in rows]
            restore_rows(
                connection, list(zip((row.columns for row in rows), vector_ids, strict=True))
            )
