"""Rows into PostgreSQL by COPY, on a connection of their own."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mlengine.stores.audit.entries import AuditEntry
from mlengine.stores.audit.rows import COPY_ROWS
from mlengine.stores.audit.writer.group_writer import Outcome, Row, WriteAgain
from mlengine.stores.audit.writer.settling import UnsettledRows
from mlengine.stores.database.server.connection import LimitedConnection, StatementTimedOut
from mlengine.stores.database.server.copy_text import copy_text
from mlengine.stores.database.server.limits import ServerLimits

# A server that takes longer is waited for on the long way.
_WAIT_SECONDS = 0.045
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 2.0  # in seconds
_SECONDS_A_ROW = 0.0005  # more, for a batch


class ServerRowCommitter:
    """A RowCommitter.

    A thread that may wait opens the connection. The one that polls the web server's connections
    never does, and waits shortly for a commit. One that is given up may take place all the same:
    whoever writes such rows again leaves those alone that are there. With `write_again` no commit
    waits for the server's disk (see UnsettledRows).
    """

    def __init__(
        self, engine: Engine, limits: ServerLimits, write_again: WriteAgain | None = None
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._write_again = write_again
        self._unsettled: UnsettledRows | None = None
        self._connection: LimitedConnection | None = None
        self._not_before = self._pause_seconds = 0.0
        self._preparing = threading.Lock()

    @property
    def is_ready(self) -> bool:
        return self._connection is not None and not self._limits.is_hanging

    def prepare(self) -> None:
        if self._connection is not None or time.monotonic() < self._not_before:
            return
        if self._preparing.acquire(blocking=False):
            try:
                with suppress(DBAPIError, PoolTimeout, psycopg.Error):
                    self._connect()
            finally:
                self._preparing.release()

    def _connect(self) -> None:
        if self._write_again is None:
            self._connection = self._session()
            return
        session = self._session()
        session.own_seconds = self._limits.seconds
        connection = self._session()
        connection.execute("SET synchronous_commit = off")
        self._unsettled = UnsettledRows(session, self._write_again)
        self._connection = connection

    def _session(self) -> LimitedConnection:
        """A connection that the pool does not get back, each statement a transaction."""
        pooled = self._engine.raw_connection()
        pooled.detach()
        connection = cast("LimitedConnection", pooled.dbapi_connection)
        connection.autocommit = True
        return connection

    def count_committed(self, rows: int) -> None:
        """A server empties its own log."""

    def commit(
        self,
        rows: Sequence[Row],
        entries: Sequence[AuditEntry],
        *,
        may_wait: bool,  # noqa: ARG002 - either goes the long way to wait
    ) -> Outcome:
        connection = self._connection
        if connection is None or self._limits.is_hanging:
            return Outcome.TOO_LATE
        connection.own_seconds = _WAIT_SECONDS + _SECONDS_A_ROW * len(rows)
        try:
            with connection.cursor() as cursor, cursor.copy(COPY_ROWS) as copy:
                copy.write(copy_text(rows))
        except StatementTimedOut:
            self._close_for_a_while()
            return Outcome.TOO_LATE
        except psycopg.Error:
            if connection.closed:
                self._close(lost=True)
            return Outcome.REFUSED
        self._pause_seconds = 0.0
        if self._unsettled is not None:
            self._unsettled.add(entries)
        return Outcome.COMMITTED

    def _close_for_a_while(self) -> None:
        """Longer each time in a row: a busy machine makes one commit late, a slow server each."""
        self._close(lost=False)
        self._not_before = time.monotonic() + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds + _FIRST_PAUSE, _LONGEST_PAUSE)

    def close(self) -> None:
        self._close(lost=False)

    def _close(self, *, lost: bool) -> None:
        connection, self._connection = self._connection, None
        unsettled, self._unsettled = self._unsettled, None
        if unsettled is not None:
            unsettled.end(lost=lost)
        if connection is not None:
            connection.close()
