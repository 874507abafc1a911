"""Rows that a server has committed and not yet forced to disk: kept until it has, or sent again.

A commit that waits for the disk takes as long as dozens of answers. So rows are committed without
that wait, and a thread asks the server a little later to force all up to then. A server that
crashes meanwhile ends the session that was to say so, and the rows are written again. They are lost
only where this process and the server die within the same moment, as rows in a SQLite file are by a
power cut.
"""

import threading
import time
from collections.abc import Sequence

import psycopg

from mlengine.stores.audit.entries import AuditEntry
from mlengine.stores.audit.writer.group_writer import WriteAgain
from mlengine.stores.database.server.connection import LimitedConnection

_SECONDS = 0.1
# A record in the server's log: its commit waits for all that was written to it before.
_FORCE = "SELECT pg_logical_emit_message(true, 'mlengine', ''), pg_backend_pid()"


class UnsettledRows:
    """What was committed on one connection, by the session of another that was there before.

    What is lost, or may be, goes to `write_again`, in a thread; rows that are there stay one.
    """

    def __init__(self, session: LimitedConnection, write_again: WriteAgain) -> None:
        self._session = session
        self._write_again = write_again
        self._pid = session.info.backend_pid
        self._lock = threading.Lock()
        self._entries: list[AuditEntry] = []
        self._has_work = threading.Event()
        self._is_over = self._is_lost = False
        threading.Thread(target=self._run, name="audit-settle", daemon=True).start()

    def add(self, entries: Sequence[AuditEntry]) -> None:
        """They were committed."""
        with self._lock:
            self._entries.extend(entries)
        self._has_work.set()

    def end(self, *, lost: bool) -> None:
        """No more rows come; those that are unsettled are `lost` where their connection broke."""
        self._is_lost = lost
        self._is_over = True
        self._has_work.set()

    def _run(self) -> None:
        is_over = False
        while not is_over:
            self._has_work.wait()
            self._has_work.clear()
            is_over = self._is_over
            if not is_over:
                time.sleep(_SECONDS)
            self._settle()
        self._session.close()

    def _settle(self) -> None:
        with self._lock:
            entries, self._entries = self._entries, []
        if entries and (self._is_lost or not self._is_forced()):
            self._write_again(entries)

    def _is_forced(self) -> bool:
        try:
            found = self._session.execute(_FORCE).fetchone()
        except psycopg.Error:
            return False
        return found is not None and found[1] == self._pid
