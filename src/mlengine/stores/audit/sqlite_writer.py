"""The short way into the audit: rows whose vectors are stored already, into a SQLite file.

SQLAlchemy's statement, transaction and pool cost several times what SQLite does with such a row.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import cast

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from mlengine.stores.audit.entries import Values
from mlengine.stores.audit.rows import insert_statement, sqlite_values
from mlengine.stores.audit.vectors import VectorKey

_MOST_KNOWN = 20_000
# Another process writes for a tenth of a millisecond, SQLite itself would sleep for a whole one;
# a writer that takes longer than all of these is waited for on the long way.
_PAUSES_SECONDS = (*[0.0001] * 50, *[0.0016] * 25)
# In one statement: each lets the interpreter's lock go, and may wait long to get it back.
_ROWS_A_STATEMENT = 64
_CHECKPOINT_ROWS = 4_000  # a row dirties up to seven pages
# While the disk syncs, whoever writes may have to wait for it: that shall be rare under load, too.
_CHECKPOINT_EVERY_SECONDS = 3.0
_CACHE_KILOBYTES = 8_000  # SQLite's 2,000 don't hold the six trees that a batch writes into
_CHECKPOINT_PATIENCE_MILLISECONDS = 20  # while it waits for readers, nobody can write


@dataclass(eq=False)
class _Asked:
    """The rows of one thread; `done` says whether they are committed."""

    rows: Sequence[tuple[list[object], VectorKey | None]]
    looked_at: bool = False
    done: bool = False


class SqliteAuditWriter:
    """One connection of a process for its rows, used by one thread at a time.

    Rows that come while another thread writes are committed together, by the first of the threads
    that wait: the others find theirs done. It remembers the ids of stored vectors. They are never
    given twice, so a row whose vector was deleted meanwhile, by whichever process, breaks the
    foreign key and goes the long way.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._waiting: deque[_Asked] = deque()
        self._connection: sqlite3.Connection | None = None
        self._known: dict[VectorKey, int] = {}
        self._since_checkpoint = 0
        self._checkpoint_due = 0.0
        self._checkpointing = threading.Lock()
        event.listen(engine, "engine_disposed", self._close)

    def remember(self, ids: Mapping[VectorKey, int]) -> None:
        """Where these vectors are stored."""
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        self._known.update(ids)
        self._checkpoint_sometimes(len(ids))

    def insert(self, rows: Sequence[tuple[Values, VectorKey | None]]) -> bool:
        """Commit all rows, each with its vector, in this order; False when none was.

        That is so when a vector is not known to be stored, or the database can't be used at once.
        """
        if any(key and key not in self._known for _, key in rows):
            return False
        mine = _Asked([(sqlite_values(values), key) for values, key in rows])
        self._waiting.append(mine)
        with self._lock:
            if not mine.looked_at:
                self._commit_waiting()
        return mine.done

    def _commit_waiting(self) -> None:
        """One transaction for all; a row that must not be written leaves the others alone."""
        ready = []
        while self._waiting:
            asked = self._waiting.popleft()
            asked.looked_at = True
            numbered = self._numbered(asked)
            if numbered is not None:
                ready.append((asked, numbered))
        if len(ready) > 1 and self._committed([row for _, rows in ready for row in rows]):
            for asked, _ in ready:
                asked.done = True
            return
        for asked, rows in ready:
            asked.done = self._committed(rows)

    def _numbered(self, asked: _Asked) -> list[list[object]] | None:
        """The rows with the ids of their vectors, None where one is not known."""
        numbered = []
        for values, key in asked.rows:
            found = self._known.get(key) if key else None
            if key and found is None:
                return None
            numbered.append([*values, found])
        return numbered

    def _committed(self, rows: Sequence[list[object]]) -> bool:
        try:
            self._commit(rows)
        except (sqlite3.Error, DBAPIError) as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                self._forget()
            return False
        self._checkpoint_sometimes(len(rows))
        return True

    def _commit(self, rows: Sequence[list[object]]) -> None:
        connection = self._connected()
        if len(rows) <= _ROWS_A_STATEMENT:
            _once_free(connection, *insert_statement(rows))
            return
        _once_free(connection, "BEGIN IMMEDIATE")
        with _undone_unless_committed(connection):
            for first in range(0, len(rows), _ROWS_A_STATEMENT):
                connection.execute(*insert_statement(rows[first : first + _ROWS_A_STATEMENT]))
            connection.execute("COMMIT")

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = self._opened()
            connection.execute("PRAGMA busy_timeout=0")
            connection.execute(f"PRAGMA cache_size=-{_CACHE_KILOBYTES}")
            self._connection = connection
        return self._connection

    def _opened(self) -> sqlite3.Connection:
        proxy = self._engine.raw_connection()
        proxy.detach()
        return cast("sqlite3.Connection", proxy.dbapi_connection)

    def _checkpoint_sometimes(self, rows: int) -> None:
        """Move what was written into the database's file; no request waits for the disk."""
        self._since_checkpoint += rows
        if self._since_checkpoint < _CHECKPOINT_ROWS or time.monotonic() < self._checkpoint_due:
            return
        self._checkpoint_due = time.monotonic() + _CHECKPOINT_EVERY_SECONDS
        if not (self._checkpointing.locked() or self._just_done_by_another()):
            self._since_checkpoint = 0
            with suppress(RuntimeError):  # no thread can be started now; the rows are committed
                threading.Thread(target=self._checkpoint, name="checkpoint", daemon=True).start()

    def _just_done_by_another(self) -> bool:
        """Only a checkpoint writes to the database's file, and it moves the rows of all."""
        try:
            age = time.time() - os.stat(str(self._engine.url.database)).st_mtime
        except OSError:
            return False
        return 0 <= age < _CHECKPOINT_EVERY_SECONDS * 0.9

    def _checkpoint(self) -> None:
        # What fails here is tried again: by the next one, and by SQLite itself when there is more.
        with (
            self._checkpointing,
            suppress(sqlite3.Error, DBAPIError),
            closing(self._opened()) as connection,
        ):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            # What came meanwhile is little; only when all is done may the log begin anew.
            connection.execute(f"PRAGMA busy_timeout={_CHECKPOINT_PATIENCE_MILLISECONDS}")
            connection.execute("PRAGMA wal_checkpoint(RESTART)")

    def _close(self, _: Engine) -> None:
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._known.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def sqlite_writer_for(engine: Engine) -> SqliteAuditWriter | None:
    """The short way, where there is one: into a file of SQLite."""
    named = engine.url.database or ""
    in_file = engine.dialect.name == "sqlite" and named not in ("", ":memory:")
    return SqliteAuditWriter(engine) if in_file and "memory" not in engine.url.query else None


def _once_free(
    connection: sqlite3.Connection, sql: str, values: Sequence[object] = ()
) -> sqlite3.Cursor:
    """Execute when no other process writes; raises OperationalError when one keeps at it."""
    for pause in _PAUSES_SECONDS:
        try:
            return connection.execute(sql, values)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
        time.sleep(pause)
    return connection.execute(sql, values)


@contextmanager
def _undone_unless_committed(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
