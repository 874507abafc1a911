"""Checkpoints of a SQLite database: what its write-ahead log holds goes into its file."""

import math
import os
import sqlite3
import threading
import time
from contextlib import closing, suppress
from functools import partial
from typing import Any, cast

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.database.lock_patience import wait_for_turn
from mlengine.stores.database.sqlite.log_file import LOG_SUFFIX, log_bytes

_CHECKPOINTER = "mlengine_checkpointer"
# A checkpoint waits for the disk: at SQLite's 1,000, every 150th row of the audit would. This many
# pages are for when the checkpointer fails.
_AUTOMATIC_PAGES = 500_000
_ROWS = 4_000  # a row of the audit dirties up to seven pages
_ROWS_A_LOOK = 32
# While the disk syncs, whoever writes may have to wait for it: that shall be rare under load, too.
_INTERVAL_SECONDS = 3.0
_LONG_LOG_BYTES = 8_000_000
# A log of this length is emptied at once, and its file keeps so much: to write over what is there
# costs less than to make it longer.
_LONGEST_LOG_BYTES, _PAUSE_SECONDS = 128_000_000, 0.25
# Where others write without a break, the log begins anew only in a turn of its own.
_TURN_SECONDS, _MOST_ATTEMPTS = 0.2, 4
_BUSY_TIMEOUT_MILLISECONDS = 20  # while it waits for readers, nobody can write
# With less room than this for each byte of the log, it may soon be impossible to empty it.
_SHORT_OF_ROOM, _SMALL_LOG_BYTES = 8, 1_000_000


class WalCheckpointer:
    """Does for the processes of a platform what SQLite would do within their transactions.

    Once enough rows were written, or the log is long, it runs a checkpoint in a thread, every few
    seconds at most, whichever process comes first; at once where the log is very long, or the disk
    short.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rows = self._unlooked = 0
        self._log_bytes = 0
        self._disk_is_short = False
        self._started_at = -math.inf
        self._running = threading.Lock()

    def install(self) -> None:
        """Take the place of SQLite's own checkpoints, in every connection of the engine."""
        event.listen(self._engine, "connect", _prepare_connection)
        self._engine.update_execution_options(**{_CHECKPOINTER: self})

    def count_committed(self, rows: int) -> None:
        """Count rows that were committed, and start a checkpoint when one is due."""
        self._rows += rows
        self._unlooked += rows
        if self._unlooked >= _ROWS_A_LOOK:
            self._unlooked = 0
            self._look()
        seconds = time.monotonic() - self._started_at
        is_urgent = self._disk_is_short or (
            self._log_bytes > _LONGEST_LOG_BYTES and seconds >= _PAUSE_SECONDS
        )
        has_enough = self._rows >= _ROWS or self._log_bytes > _LONG_LOG_BYTES
        if is_urgent or (has_enough and seconds >= _INTERVAL_SECONDS):
            self._start_checkpoint(is_urgent=is_urgent)

    def make_room(self) -> None:
        """Empty the log now, for the disk is full; what can't be done is not done."""
        with self._running:
            self._checkpoint("TRUNCATE")

    def _look(self) -> None:
        self._log_bytes = log_bytes(self._file)
        self._disk_is_short = False
        if self._log_bytes > _SMALL_LOG_BYTES:
            with suppress(OSError):
                disk = os.statvfs(f"{self._file}{LOG_SUFFIX}")
                room = disk.f_bavail * disk.f_frsize
                self._disk_is_short = room < _SHORT_OF_ROOM * self._log_bytes

    def _start_checkpoint(self, *, is_urgent: bool) -> None:
        self._started_at = time.monotonic()
        if self._running.locked() or (self._done_by_another() and not is_urgent):
            return
        self._rows = self._log_bytes = 0  # until the next look: its file stays as long as it was
        with suppress(RuntimeError):  # no thread can be started now; the rows are committed
            threading.Thread(target=self._run, name="checkpoint", daemon=True).start()

    def _done_by_another(self) -> bool:
        """Only a checkpoint writes to the database's file, and it moves the rows of all."""
        try:
            age = time.time() - os.stat(self._file).st_mtime
        except OSError:
            return False
        return 0 <= age < _INTERVAL_SECONDS * 0.9

    def _run(self) -> None:
        with self._running:
            self._checkpoint("TRUNCATE" if self._disk_is_short else "RESTART")

    def _checkpoint(self, mode: str) -> None:
        # What fails here is tried again: by the next one, and by SQLite itself when there is more.
        with (
            suppress(sqlite3.Error, DBAPIError, DatabaseUnavailable),
            closing(detached_connection(self._engine)) as connection,
        ):
            for _ in range(_MOST_ATTEMPTS):
                # First without a lock, so that little is left for when nobody else may write.
                if not _checkpoint_is_complete(connection, "PASSIVE"):
                    return  # another process is at it, or a reader still needs the log
                connection.execute("PRAGMA busy_timeout=0")
                begin = partial(connection.execute, "BEGIN IMMEDIATE")
                wait_for_turn(connection, begin, seconds=_TURN_SECONDS)
                connection.execute("ROLLBACK")  # who waits looks again after us
                connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MILLISECONDS}")
                if _checkpoint_is_complete(connection, mode):
                    return

    @property
    def _file(self) -> str:
        return str(self._engine.url.database)


def checkpointer_of(engine: Engine) -> WalCheckpointer | None:
    """The one that `open_database` has started; it does so for a SQLite file alone."""
    return cast("WalCheckpointer | None", engine.get_execution_options().get(_CHECKPOINTER))


def detached_connection(engine: Engine) -> sqlite3.Connection:
    """A connection of the driver that the pool does not get back; the caller closes it."""
    proxy = engine.raw_connection()
    proxy.detach()
    return cast("sqlite3.Connection", proxy.dbapi_connection)


def _checkpoint_is_complete(connection: sqlite3.Connection, mode: str) -> bool:
    """Run a checkpoint; whether it did all that its mode is to do, and moved the whole log."""
    ((is_busy, pages, moved),) = connection.execute(f"PRAGMA wal_checkpoint({mode})")
    return not is_busy and bool(moved == pages)


def _prepare_connection(connection: Any, _record: object) -> None:
    connection.execute(f"PRAGMA wal_autocheckpoint={_AUTOMATIC_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit={_LONGEST_LOG_BYTES}")
