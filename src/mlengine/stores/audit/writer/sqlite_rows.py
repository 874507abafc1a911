"""Rows into a SQLite file, on a connection of their own."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.audit.entries import AuditEntry
from mlengine.stores.audit.rows import insert_statement
from mlengine.stores.audit.writer.group_writer import Outcome, Row
from mlengine.stores.database.lock_patience import error_code, patience_of, wait_for_turn
from mlengine.stores.database.sqlite.checkpointer import WalCheckpointer, detached_connection
from mlengine.stores.database.sqlite.file_watch import watch_of
from mlengine.stores.database.sqlite.transactions import JOURNAL_IN_MEMORY

# A writer that takes longer is waited for on the long way.
_WAIT_SECONDS, _LONG_WAIT_SECONDS = 0.045, 0.2
# In one statement: each lets the interpreter's lock go, and may wait long to get it back.
_ROWS_A_STATEMENT = 256
_CACHE_KILOBYTES = 8_000  # SQLite's 2,000 don't hold the six trees that a batch writes into


class SqliteRowCommitter:
    """A RowCommitter."""

    is_ready = True  # a file is opened at once

    def __init__(self, engine: Engine, checkpointer: WalCheckpointer) -> None:
        self._engine = engine
        self._checkpointer = checkpointer
        self._patience = patience_of(engine)
        self._connection: sqlite3.Connection | None = None

    def prepare(self) -> None:
        """Nothing has to be."""

    def count_committed(self, rows: int) -> None:
        self._checkpointer.count_committed(rows)

    def commit(
        self,
        rows: Sequence[Row],
        entries: Sequence[AuditEntry],  # noqa: ARG002 - a file keeps what was committed
        *,
        may_wait: bool,
    ) -> Outcome:
        try:
            self._check_file()
            self._commit(rows, may_wait=may_wait)
            self._check_file()
        except DatabaseUnavailable:  # to close our connection could harm the other file's log
            return Outcome.REFUSED
        except (sqlite3.Error, DBAPIError) as error:
            return self._refused(error_code(error))
        self._checkpointer.count_committed(len(rows))
        return Outcome.COMMITTED

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _check_file(self) -> None:
        watch = watch_of(self._engine)
        if watch:
            watch.check()

    def _refused(self, code: int | None) -> Outcome:
        if code == sqlite3.SQLITE_BUSY:
            return Outcome.TOO_LATE
        self.close()
        if code == sqlite3.SQLITE_FULL:
            self._checkpointer.make_room()
        return Outcome.REFUSED

    def _commit(self, rows: Sequence[Row], *, may_wait: bool) -> None:
        connection = self._open_connection()
        # Before others have to wait for us.
        statements = [
            insert_statement(rows[first : first + _ROWS_A_STATEMENT])
            for first in range(0, len(rows), _ROWS_A_STATEMENT)
        ]
        if len(statements) == 1:
            self._execute_when_unlocked(connection, *statements[0], may_wait=may_wait)
            return
        self._execute_when_unlocked(connection, "BEGIN IMMEDIATE", may_wait=may_wait)
        with _rolled_back_unless_committed(connection):
            for sql, values in statements:
                connection.execute(sql, values)
            connection.execute("COMMIT")

    def _execute_when_unlocked(
        self,
        connection: sqlite3.Connection,
        sql: str,
        values: Sequence[object] = (),
        *,
        may_wait: bool,
    ) -> sqlite3.Cursor:
        """Execute when nobody else writes; raises OperationalError when one keeps at it."""
        execute = partial(connection.execute, sql, values)
        if may_wait:
            seconds = self._patience.seconds(_LONG_WAIT_SECONDS) or 0.0
            return wait_for_turn(connection, execute, seconds=seconds, patience=self._patience)
        seconds = 0.0 if self._patience.is_locked else _WAIT_SECONDS
        return wait_for_turn(connection, execute, seconds=seconds, turns=1)

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = detached_connection(self._engine)
            connection.execute("PRAGMA busy_timeout=0")
            connection.execute(f"PRAGMA cache_size=-{_CACHE_KILOBYTES}")
            connection.execute(JOURNAL_IN_MEMORY)
            self._connection = connection
        return self._connection


@contextmanager
def _rolled_back_unless_committed(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
