"""Rows into PostgreSQL by COPY, on a connection of their own."""

import threading
import time
from collections.abc import Iterable, Sequence
from typing import cast

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mlengine.stores.audit.entries import Values
from mlengine.stores.audit.rows import COPY_ROWS, stored_rows
from mlengine.stores.audit.writer.group_writer import Outcome, Row
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
    whoever writes such rows again leaves those alone that are there.
    """

    def __init__(self, engine: Engine, limits: ServerLimits) -> None:
        self._engine = engine
        self._limits = limits
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
                self._connection = self._connect()
            finally:
                self._preparing.release()

    def _connect(self) -> LimitedConnection | None:
        try:
            pooled = self._engine.raw_connection()
        except (DBAPIError, PoolTimeout, psycopg.Error):
            return None
        pooled.detach()
        connection = cast("LimitedConnection", pooled.dbapi_connection)
        connection.autocommit = True
        return connection

    def encode(self, rows: Iterable[Values]) -> Sequence[Row]:
        return stored_rows(rows)

    def count_committed(self, rows: int) -> None:
        """A server empties its own log."""

    def commit(self, rows: Sequence[Row]) -> Outcome:
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
                self.close()
            return Outcome.REFUSED
        self._pause_seconds = 0.0
        return Outcome.COMMITTED

    def _close_for_a_while(self) -> None:
        """Longer each time in a row: a busy machine makes one commit late, a slow server each."""
        self.close()
        self._not_before = time.monotonic() + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds + _FIRST_PAUSE, _LONGEST_PAUSE)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
