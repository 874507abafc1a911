"""Rows of several threads in one commit, into whichever database: what all its back ends share.

SQLAlchemy's statement, transaction and pool cost several times what a database does with a row.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from mlengine.stores.audit.entries import AuditEntry, Values
from mlengine.stores.audit.rows import stored_rows
from mlengine.stores.audit.vectors import VectorKey

_MOST_VECTOR_IDS = 20_000
_TURN_SECONDS = 0.05

# The values of a row in the order of COLUMNS, and the id of its vector.
Row = Sequence[object]
# Takes rows that a server may have lost.
WriteAgain = Callable[[Sequence[AuditEntry]], None]


class Outcome(Enum):
    """What became of a commit; after `REFUSED` nothing is known of stored vectors any more."""

    COMMITTED = "committed"
    REFUSED = "refused"
    TOO_LATE = "too late"


class RowCommitter(Protocol):
    """One connection of a process for rows, used by one thread at a time."""

    @property
    def is_ready(self) -> bool:
        """Whether rows can be committed without a wait for a connection."""

    def prepare(self) -> None:
        """Called by a thread that may wait, after it has used the database itself."""

    def commit(
        self, rows: Sequence[Row], entries: Sequence[AuditEntry], *, may_wait: bool
    ) -> Outcome:
        """All rows, those of the `entries`, or none; `TOO_LATE` where that would take long.

        What is long depends on whether the thread `may_wait`.
        """

    def count_committed(self, rows: int) -> None:
        """So many rows were committed by another way."""

    def close(self) -> None:
        """Close the connection; the next use opens another."""


@dataclass(eq=False, repr=False)
class _PendingRows:
    """The rows of one thread, which wait for the writer.

    Not to be written out: what a deque says of one that it lacks would be half a second of a batch.
    """

    rows: Sequence[tuple[Row, VectorKey | None]]
    entries: Sequence[AuditEntry]
    taken: bool = False
    committed: bool = False


class GroupWriter:
    """Commits rows that come while another thread writes together.

    The first of the threads that wait does so: the others find theirs done. It remembers the ids
    of stored vectors. They are never given twice, so a row whose vector was deleted meanwhile, by
    whichever process, breaks the foreign key and goes the long way.
    """

    def __init__(self, committer: RowCommitter) -> None:
        self._committer = committer
        self._lock = threading.Lock()
        self._pending: deque[_PendingRows] = deque()
        self._is_late = False
        self._vector_ids: dict[VectorKey, int] = {}

    @property
    def is_ready(self) -> bool:
        """Whether `insert` would wait for nothing but its commit."""
        return self._committer.is_ready

    def cache_ids(self, ids: Mapping[VectorKey, int]) -> None:
        """Where these vectors are stored, as a thread has found that may wait."""
        if len(self._vector_ids) > _MOST_VECTOR_IDS:
            self._vector_ids.clear()
        self._vector_ids.update(ids)
        self._committer.count_committed(len(ids))
        self._committer.prepare()

    def insert(
        self,
        rows: Sequence[tuple[Values, VectorKey | None]],
        entries: Sequence[AuditEntry],
        *,
        may_wait: bool,
    ) -> bool:
        """Commit the rows of `entries`, each with its vector, in this order; False when none was.

        That is so when a vector is not known to be stored, or the database can't be used soon; at
        once for a thread that may not wait, as others wait for it. On a server a commit that was
        given up may take place still.
        """
        if any(key and key not in self._vector_ids for _, key in rows):
            return False
        stored = stored_rows(values for values, _ in rows)
        keyed = [(row, key) for row, (_, key) in zip(stored, rows, strict=True)]
        mine = _PendingRows(keyed, entries)
        self._pending.append(mine)
        if not may_wait and self._is_withdrawn(mine):
            return False
        with self._lock:
            if not mine.taken:
                self._commit_all_pending(may_wait=may_wait)
        return mine.committed

    def _is_withdrawn(self, mine: _PendingRows) -> bool:
        """Whether another commit takes so long that these rows go the long way."""
        if self._lock.acquire(timeout=_TURN_SECONDS):
            self._lock.release()
            return False
        with suppress(ValueError):  # taken: they are part of that commit
            self._pending.remove(mine)
            return True
        return False

    def close(self) -> None:
        """Close the connection, and forget the vectors."""
        with self._lock:
            self._vector_ids.clear()
            self._committer.close()

    def _commit_all_pending(self, *, may_wait: bool) -> None:
        """One transaction for all; a row that must not be written leaves the others alone."""
        ready = []
        self._is_late = False
        while self._pending:
            pending = self._pending.popleft()
            pending.taken = True
            rows = self._with_vector_ids(pending)
            if rows is not None:
                ready.append((pending, rows))
        all_rows = [row for _, rows in ready for row in rows]
        all_entries = [entry for pending, _ in ready for entry in pending.entries]
        if len(ready) > 1 and self._try_commit(all_rows, all_entries, may_wait=may_wait):
            for pending, _ in ready:
                pending.committed = True
            return
        for pending, rows in ready:
            pending.committed = not self._is_late and self._try_commit(
                rows, pending.entries, may_wait=may_wait
            )

    def _with_vector_ids(self, pending: _PendingRows) -> list[Row] | None:
        """The rows with the ids of their vectors, None where one is not known."""
        rows: list[Row] = []
        for values, key in pending.rows:
            vector_id = self._vector_ids.get(key) if key else None
            if key and vector_id is None:
                return None
            rows.append([*values, vector_id])
        return rows

    def _try_commit(
        self, rows: Sequence[Row], entries: Sequence[AuditEntry], *, may_wait: bool
    ) -> bool:
        outcome = self._committer.commit(rows, entries, may_wait=may_wait)
        if outcome is Outcome.REFUSED:
            self._vector_ids.clear()
        self._is_late = outcome is Outcome.TOO_LATE
        return outcome is Outcome.COMMITTED
