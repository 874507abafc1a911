"""How long a process waits for others that write to the database: once, and then no more a while.

While a lock stays, the first to meet it waits; those who come within a second after are refused at
once, so that several writes for one answer, and many answers at once, cost that one wait together.
An activation is rare, and has no second way as the audit has: it waits by itself.
"""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

Result = TypeVar("Result")

_PATIENCE = "mlengine_lock_patience"
_LOCKED_SECONDS = 1.0
# Another process writes for a tenth of a millisecond, or for a batch; SQLite itself would sleep
# longer and longer, and come too late each time where others write without a break.
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.0001, 0.0004, 1.1
# While others write one after the other, the wait may be so many times as long.
MOST_TURNS = 5


@dataclass
class LockPatience:
    """`most_seconds` is None for a process that no client waits for: it waits as it likes."""

    most_seconds: float | None = None
    _locked_at: float = field(default=float("-inf"), init=False)

    def seconds(self, wanted: float | None, *, by_itself: bool = False) -> float | None:
        """How long to wait now instead of `wanted`, which is None for the engine's own wait.

        What waits `by_itself` does so also after somebody has just waited in vain.
        """
        if self.most_seconds is None:
            return wanted
        if self.is_locked and not by_itself:
            return 0.0
        return self.most_seconds if wanted is None else min(wanted, self.most_seconds)

    @property
    def is_locked(self) -> bool:
        """Whether somebody has just waited in vain, where waits are limited."""
        age = time.monotonic() - self._locked_at
        return self.most_seconds is not None and age < _LOCKED_SECONDS

    def record_locked(self) -> None:
        """Somebody has waited in vain for one writer; those who did not wait don't prolong it."""
        if not self.is_locked:
            self._locked_at = time.monotonic()


def wait_for_turn(
    connection: sqlite3.Connection,
    attempt: Callable[[], Result],
    *,
    seconds: float,
    turns: int = MOST_TURNS,
    patience: LockPatience | None = None,
) -> Result:
    """Do `attempt` on a connection that doesn't wait itself, once nobody else writes.

    Raises what it raises where one writer keeps at it for `seconds`, which `patience` hears. While
    others commit meanwhile, the database is busy and not locked: the wait begins anew, `turns`
    waits in all.
    """
    begun = turn_begun = time.monotonic()
    pause, commits = _FIRST_PAUSE, _commits_of_others(connection)
    while True:
        try:
            return attempt()
        except (sqlite3.OperationalError, DBAPIError) as error:
            if error_code(error) != sqlite3.SQLITE_BUSY:
                raise
            now, before = time.monotonic(), commits
            commits = _commits_of_others(connection)
            if commits != before:
                turn_begun = now
            is_locked = now - turn_begun >= seconds
            if is_locked and patience is not None and seconds > 0.0:
                patience.record_locked()
            if is_locked or now - begun >= turns * seconds:
                raise
        time.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def error_code(error: sqlite3.Error | DBAPIError) -> int | None:
    """SQLite's primary code of an error, also of one that SQLAlchemy wraps."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _commits_of_others(connection: sqlite3.Connection) -> object:
    """A number that another connection's commit changes; None where it can't be read."""
    try:
        return connection.execute("PRAGMA data_version").fetchone()
    except sqlite3.Error:
        return None


def patience_of(engine: Engine) -> LockPatience:
    """The one that `open_database` gave the engine."""
    return cast("LockPatience", engine.get_execution_options()[_PATIENCE])


def give_patience(engine: Engine) -> None:
    engine.update_execution_options(**{_PATIENCE: LockPatience()})
