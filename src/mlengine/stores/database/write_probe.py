"""Whether the database takes a row: a write that reaches its disk, once a second at most."""

import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property

from sqlalchemy import Engine, update

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.database.engine import writing
from mlengine.stores.database.server.limits import limits_of
from mlengine.stores.database.sqlite.transactions import database_file
from mlengine.stores.database.tables import predictions

_LOCK_SECONDS = 0.2
_INTERVAL_SECONDS = 1.0
_SERVER_PATIENCE_SECONDS = 0.05
_FIRST_PATIENCE_SECONDS = 1.0  # which takes a connection, too
_SERVER_PAUSE_SECONDS = 2.0  # in which a server may be busy with what it writes to its disk
_NO_ROW = (
    update(predictions)
    .where(predictions.c.seq < 0)
    .values(ok=False)
    .with_hint("ONLY", dialect_name="postgresql")  # none of the many partitions
)
_LEAST_FREE_BYTES = 128_000  # a prediction may change seven pages of a log and a line of a spool


@dataclass
class WriteProbe:
    """A write that succeeded answers for the second that follows; safe for threads.

    A server is written to by a thread, for which nobody waits long, but once: a process that has
    just started knows nothing yet. While it is at it, a write that succeeded within the last
    seconds answers, too.
    """

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _written_at: float = float("-inf")
    _pending: Future[None] | None = None
    _patience_seconds: float = _FIRST_PATIENCE_SECONDS

    def write(self, engine: Engine) -> None:
        """Raises DatabaseUnavailable where a row could not be written."""
        with self._lock:
            if time.monotonic() - self._written_at < _INTERVAL_SECONDS:
                return
            if limits_of(engine) is None:
                self._write(engine)
            else:
                self._write_aside(engine)

    def _write(self, engine: Engine) -> None:
        _write(engine)
        self._written_at = time.monotonic()

    def _write_aside(self, engine: Engine) -> None:
        pending = self._pending or self._executor.submit(self._write, engine)
        patience, self._patience_seconds = self._patience_seconds, _SERVER_PATIENCE_SECONDS
        if wait([pending], timeout=patience).done:
            self._pending = None
            pending.result()
            return
        self._pending = pending
        if time.monotonic() - self._written_at > _SERVER_PAUSE_SECONDS:
            raise DatabaseUnavailable("it does not answer")

    @cached_property
    def _executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix="write-probe")


def _write(engine: Engine) -> None:
    with writing(engine, lock_timeout_seconds=_LOCK_SECONDS) as connection:
        # Touches no row, and yet fails where the table is missing or read-only.
        connection.execute(_NO_ROW)
        if engine.dialect.name == "sqlite":  # changes the first page, which goes to the log
            connection.exec_driver_sql(f"PRAGMA user_version={int(time.time()) % 2**31}")
    _require_room(engine)


def _require_room(engine: Engine) -> None:
    """A log that is being written from its start anew takes a page on a full disk, but few."""
    file = database_file(engine)
    if file is not None:
        disk = os.statvfs(file.parent)
        if disk.f_bavail * disk.f_frsize < _LEAST_FREE_BYTES:
            raise DatabaseUnavailable("its disk is full")
