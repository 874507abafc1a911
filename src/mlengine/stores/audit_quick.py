"""The short way into the audit: rows whose vectors are stored already, into a SQLite file.

SQLAlchemy's statement, transaction and pool cost several times what SQLite does with such a row.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from mlengine.stores.tables import predictions
from mlengine.stores.vectors import VectorKey

Row = Mapping[str, object]

_MOST_KNOWN = 20_000
# Another process writes for a tenth of a millisecond, SQLite itself would sleep for a whole one;
# a writer that takes longer than all of these is waited for on the long way.
_PAUSES_SECONDS = (0.0001, 0.0002, 0.0004, 0.0008, *[0.0016] * 30)
_CHECKPOINT_PAGES = 32_000  # a row dirties seven pages: at 1,000, every 150th waits for the disk


class QuickInsert:
    """One connection of a process for its rows, used by one thread at a time.

    It remembers the ids of stored vectors. They are never given twice, so a row whose vector was
    deleted meanwhile, by whichever process, breaks the foreign key and goes the long way.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._known: dict[VectorKey, int] = {}
        columns = [column for column in predictions.c if column.name not in ("seq", "vector_id")]
        self._names = [column.name for column in columns]
        kinds = [column.type.dialect_impl(engine.dialect) for column in columns]
        self._binds = [kind.bind_processor(engine.dialect) for kind in kinds]
        listed = ", ".join([*self._names, "vector_id"])
        places = ", ".join("?" * (len(columns) + 1))
        self._sql = f"INSERT INTO predictions ({listed}) VALUES ({places})"  # noqa: S608 - no input
        event.listen(engine, "engine_disposed", self._close)

    def remember(self, ids: Mapping[VectorKey, int]) -> None:
        """Where these vectors are stored."""
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        self._known.update(ids)

    def insert(self, rows: Sequence[tuple[Row, VectorKey | None]]) -> bool:
        """Commit all rows, each with its vector, in this order; False when none was.

        That is so when a vector is not known to be stored, or the database can't be used at once.
        """
        values = [self._values(row) for row, _ in rows]
        with self._lock:
            ids = [self._known.get(key) if key else None for _, key in rows]
            if any(key and not found for (_, key), found in zip(rows, ids, strict=True)):
                return False
            try:
                self._commit([[*row, found] for row, found in zip(values, ids, strict=True)])
            except (sqlite3.Error, DBAPIError):
                self._forget()
                return False
        return True

    def _values(self, row: Row) -> list[object]:
        return [
            row[name] if bind is None else bind(row[name])
            for name, bind in zip(self._names, self._binds, strict=True)
        ]

    def _commit(self, rows: Sequence[Sequence[object]]) -> None:
        connection = self._connected()
        if len(rows) == 1:
            _once_free(connection, self._sql, rows[0])
            return
        _once_free(connection, "BEGIN IMMEDIATE")
        with _undone_unless_committed(connection):
            connection.executemany(self._sql, rows)
            connection.execute("COMMIT")

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            proxy = self._engine.raw_connection()
            proxy.detach()
            connection = cast("sqlite3.Connection", proxy.dbapi_connection)
            connection.execute("PRAGMA busy_timeout=0")
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            self._connection = connection
        return self._connection

    def _close(self, _: Engine) -> None:
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._known.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def quick_insert(engine: Engine) -> QuickInsert | None:
    """The short way, where there is one: into a file of SQLite."""
    named = engine.url.database or ""
    in_file = engine.dialect.name == "sqlite" and named not in ("", ":memory:")
    return QuickInsert(engine) if in_file and "memory" not in engine.url.query else None


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
