"""Checkpoints of a SQLite database: what its write-ahead log holds goes into its file."""

import os
import sqlite3
import threading
import time
from contextlib import closing, suppress
from typing import Any, cast

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

_CHECKPOINTER = "mlengine_checkpointer"
# A checkpoint waits for the disk: at SQLite's 1,000, every 150th row of the audit would. This many
# pages are for when the checkpointer fails.
_AUTOMATIC_PAGES = 500_000
_ROWS = 4_000  # a row of the audit dirties up to seven pages
# While the disk syncs, whoever writes may have to wait for it: that shall be rare under load, too.
_INTERVAL_SECONDS = 3.0
_BUSY_TIMEOUT_MILLISECONDS = 20  # while it waits for readers, nobody can write


class WalCheckpointer:
    """Does for the processes of a platform what SQLite would do within their transactions.

    Once enough rows were written it runs a checkpoint in a thread, every few seconds at most,
    whichever process comes first.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rows = 0
        self._due_at = 0.0
        self._running = threading.Lock()

    def install(self) -> None:
        """Take the place of SQLite's own checkpoints, in every connection of the engine."""
        event.listen(self._engine, "connect", _turn_automatic_off)
        self._engine.update_execution_options(**{_CHECKPOINTER: self})

    def count_committed(self, rows: int) -> None:
        """Count rows that were committed, and start a checkpoint when one is due."""
        self._rows += rows
        if self._rows < _ROWS or time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + _INTERVAL_SECONDS
        if not (self._running.locked() or self._done_by_another()):
            self._rows = 0
            with suppress(RuntimeError):  # no thread can be started now; the rows are committed
                threading.Thread(target=self._checkpoint, name="checkpoint", daemon=True).start()

    def _done_by_another(self) -> bool:
        """Only a checkpoint writes to the database's file, and it moves the rows of all."""
        try:
            age = time.time() - os.stat(str(self._engine.url.database)).st_mtime
        except OSError:
            return False
        return 0 <= age < _INTERVAL_SECONDS * 0.9

    def _checkpoint(self) -> None:
        # What fails here is tried again: by the next one, and by SQLite itself when there is more.
        with (
            self._running,
            suppress(sqlite3.Error, DBAPIError),
            closing(detached_connection(self._engine)) as connection,
        ):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            # What came meanwhile is little; only when all is done may the log begin anew.
            connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MILLISECONDS}")
            connection.execute("PRAGMA wal_checkpoint(RESTART)")


def checkpointer_of(engine: Engine) -> WalCheckpointer | None:
    """The one that `open_database` has installed; it does so for a SQLite file alone."""
    return cast("WalCheckpointer | None", engine.get_execution_options().get(_CHECKPOINTER))


def detached_connection(engine: Engine) -> sqlite3.Connection:
    """A connection of the driver that the pool does not get back; the caller closes it."""
    proxy = engine.raw_connection()
    proxy.detach()
    return cast("sqlite3.Connection", proxy.dbapi_connection)


def _turn_automatic_off(connection: Any, _record: object) -> None:
    connection.execute(f"PRAGMA wal_autocheckpoint={_AUTOMATIC_PAGES}")
