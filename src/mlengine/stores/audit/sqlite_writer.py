"""The short way into the audit: rows whose vectors are stored already, into a SQLite file.

SQLAlchemy's statement, transaction and pool cost several times what SQLite does with such a row.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.audit.entries import Values
from mlengine.stores.audit.rows import insert_statement, sqlite_rows
from mlengine.stores.audit.vectors import VectorKey
from mlengine.stores.database.lock_patience import error_code, patience_of, wait_for_turn
from mlengine.stores.database.sqlite.checkpointer import (
    WalCheckpointer,
    checkpointer_of,
    detached_connection,
)
from mlengine.stores.database.sqlite.file_watch import watch_of

_MOST_VECTOR_IDS = 20_000
# A writer that takes longer is waited for on the long way.
_WAIT_SECONDS = 0.045
# In one statement: each lets the interpreter's lock go, and may wait long to get it back.
_ROWS_A_STATEMENT = 64
_CACHE_KILOBYTES = 8_000  # SQLite's 2,000 don't hold the six trees that a batch writes into


@dataclass(eq=False)
class _PendingRows:
    """The rows of one thread, which wait for the writer."""

    rows: Sequence[tuple[list[object], VectorKey | None]]
    taken: bool = False
    committed: bool = False


class SqliteAuditWriter:
    """One connection of a process for its rows, used by one thread at a time.

    Rows that come while another thread writes are committed together, by the first of the threads
    that wait: the others find theirs done. It remembers the ids of stored vectors. They are never
    given twice, so a row whose vector was deleted meanwhile, by whichever process, breaks the
    foreign key and goes the long way.
    """

    def __init__(self, engine: Engine, checkpointer: WalCheckpointer) -> None:
        self._engine = engine
        self._checkpointer = checkpointer
        self._patience = patience_of(engine)
        self._lock = threading.Lock()
        self._pending: deque[_PendingRows] = deque()
        self._is_locked = False
        self._connection: sqlite3.Connection | None = None
        self._vector_ids: dict[VectorKey, int] = {}
        event.listen(engine, "engine_disposed", self._close)

    def cache_ids(self, ids: Mapping[VectorKey, int]) -> None:
        """Where these vectors are stored."""
        if len(self._vector_ids) > _MOST_VECTOR_IDS:
            self._vector_ids.clear()
        self._vector_ids.update(ids)
        self._checkpointer.count_committed(len(ids))

    def insert(self, rows: Sequence[tuple[Values, VectorKey | None]]) -> bool:
        """Commit all rows, each with its vector, in this order; False when none was.

        That is so when a vector is not known to be stored, or the database can't be used at once.
        """
        if any(key and key not in self._vector_ids for _, key in rows):
            return False
        stored = sqlite_rows(values for values, _ in rows)
        mine = _PendingRows([(row, key) for row, (_, key) in zip(stored, rows, strict=True)])
        self._pending.append(mine)
        with self._lock:
            if not mine.taken:
                self._commit_all_pending()
        return mine.committed

    def _commit_all_pending(self) -> None:
        """One transaction for all; a row that must not be written leaves the others alone."""
        ready = []
        self._is_locked = False
        while self._pending:
            pending = self._pending.popleft()
            pending.taken = True
            rows = self._with_vector_ids(pending)
            if rows is not None:
                ready.append((pending, rows))
        if len(ready) > 1 and self._try_commit([row for _, rows in ready for row in rows]):
            for pending, _ in ready:
                pending.committed = True
            return
        for pending, rows in ready:
            pending.committed = not self._is_locked and self._try_commit(rows)

    def _with_vector_ids(self, pending: _PendingRows) -> list[list[object]] | None:
        """The rows with the ids of their vectors, None where one is not known."""
        rows = []
        for values, key in pending.rows:
            vector_id = self._vector_ids.get(key) if key else None
            if key and vector_id is None:
                return None
            rows.append([*values, vector_id])
        return rows

    def _try_commit(self, rows: Sequence[list[object]]) -> bool:
        try:
            self._check_file()
            self._commit(rows)
            self._check_file()
        except DatabaseUnavailable:  # to close our connection could harm the other file's log
            return False
        except (sqlite3.Error, DBAPIError) as error:
            self._handle_refusal(error_code(error))
            return False
        self._checkpointer.count_committed(len(rows))
        return True

    def _check_file(self) -> None:
        watch = watch_of(self._engine)
        if watch:
            watch.check()

    def _handle_refusal(self, code: int | None) -> None:
        if code == sqlite3.SQLITE_BUSY:
            self._is_locked = True
            return
        self._reset()
        if code == sqlite3.SQLITE_FULL:
            self._checkpointer.make_room()

    def _commit(self, rows: Sequence[list[object]]) -> None:
        connection = self._open_connection()
        if len(rows) <= _ROWS_A_STATEMENT:
            self._execute_when_unlocked(connection, *insert_statement(rows))
            return
        self._execute_when_unlocked(connection, "BEGIN IMMEDIATE")
        with _rolled_back_unless_committed(connection):
            for first in range(0, len(rows), _ROWS_A_STATEMENT):
                connection.execute(*insert_statement(rows[first : first + _ROWS_A_STATEMENT]))
            connection.execute("COMMIT")

    def _execute_when_unlocked(
        self, connection: sqlite3.Connection, sql: str, values: Sequence[object] = ()
    ) -> sqlite3.Cursor:
        """Execute when no other process writes; raises OperationalError when one keeps at it."""
        seconds = 0.0 if self._patience.is_locked else _WAIT_SECONDS
        return wait_for_turn(
            connection, partial(connection.execute, sql, values), seconds=seconds, turns=1
        )

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = detached_connection(self._engine)
            connection.execute("PRAGMA busy_timeout=0")
            connection.execute(f"PRAGMA cache_size=-{_CACHE_KILOBYTES}")
            self._connection = connection
        return self._connection

    def _close(self, _: Engine) -> None:
        with self._lock:
            self._reset()

    def _reset(self) -> None:
        self._vector_ids.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def sqlite_writer_for(engine: Engine) -> SqliteAuditWriter | None:
    """The short way, where there is one: into a file of SQLite."""
    checkpointer = checkpointer_of(engine)
    return SqliteAuditWriter(engine, checkpointer) if checkpointer else None


@contextmanager
def _rolled_back_unless_committed(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
