"""Whether the database takes a row: a write that reaches its disk, once a second at most."""

import os
import threading
import time
from dataclasses import dataclass, field

from sqlalchemy import Engine, update

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.database.engine import database_file, writing
from mlengine.stores.database.tables import predictions

_LOCK_SECONDS = 0.2
_INTERVAL_SECONDS = 1.0
_LEAST_FREE_BYTES = 128_000  # a prediction may change seven pages of a log and a line of a spool


@dataclass
class WriteProbe:
    """A write that succeeded answers for the second that follows; safe for threads."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _written_at: float = float("-inf")

    def write(self, engine: Engine) -> None:
        """Raises DatabaseUnavailable where a row could not be written."""
        with self._lock:
            if time.monotonic() - self._written_at >= _INTERVAL_SECONDS:
                _write(engine)
                self._written_at = time.monotonic()


def _write(engine: Engine) -> None:
    with writing(engine, lock_timeout_seconds=_LOCK_SECONDS) as connection:
        # Touches no row, and yet fails where the table is missing or read-only.
        connection.execute(update(predictions).where(predictions.c.seq < 0).values(ok=False))
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
