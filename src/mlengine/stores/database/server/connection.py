"""A connection to PostgreSQL on which nothing is waited for longer than its limit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.abc import PQGen

from mlengine.stores.database.server.limits import ServerLimits

Result = TypeVar("Result")

_INTERVAL_SECONDS = 0.1  # psycopg's own, in which it looks for Ctrl-C


class StatementTimedOut(psycopg.OperationalError):
    """The server has not answered in time, and the connection is closed.

    Whether the statement takes effect is not known: a server that goes on may still execute it.
    """


class LimitedConnection(psycopg.Connection[Any]):
    """As psycopg's, but closed where a statement is not answered within its limit.

    The limit is that of `limits`, `own_seconds` where that is set, and none while `is_unhurried`.
    """

    limits: ServerLimits | None = None
    own_seconds: float | None = None
    is_unhurried = False

    def wait(
        self,
        gen: PQGen[Result],
        interval: float = _INTERVAL_SECONDS,
        timeout: float | None = None,
    ) -> Result:
        """Psycopg comes here for all that it sends and receives; raises StatementTimedOut."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self._seconds())
        except errors._WaitTimeout:
            self.close()
            if self.limits is not None and self.own_seconds is None:
                self.limits.record_hanging()
            raise StatementTimedOut("not answered in time") from None

    def _seconds(self) -> float | None:
        if self.own_seconds is not None:
            return self.own_seconds
        return None if self.limits is None or self.is_unhurried else self.limits.client_seconds


def connect_within(limits: ServerLimits, *arguments: Any, **parameters: Any) -> LimitedConnection:
    """A connection that is held to these limits; raises psycopg's errors."""
    if limits.is_hanging and not limits.is_prober:
        raise psycopg.OperationalError("the server hangs")
    try:
        connection = LimitedConnection.connect(*arguments, **parameters)
    except errors.ConnectionTimeout:
        limits.record_hanging()
        raise
    connection.limits = limits
    if limits.server_seconds is not None:
        was, connection.autocommit = connection.autocommit, True
        connection.execute(f"SET statement_timeout = {_milliseconds(limits.server_seconds)}")
        connection.autocommit = was
    return connection


@contextmanager
def unhurried(connection: LimitedConnection) -> Iterator[None]:
    """Within a transaction: its statements may take as long as they do."""
    connection.execute("SET LOCAL statement_timeout = 0")
    connection.is_unhurried = True
    try:
        yield
    finally:
        connection.is_unhurried = False


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
