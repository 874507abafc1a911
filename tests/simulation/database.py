"""A real SQLite database that is locked, full, and loses its last commits in a power cut.

Each connection of the code under test is a `SimulatedConnection`: a transaction's begin, its
changes and its commit are steps of the scheduler. SQLite forces its log to disk at a checkpoint,
and after a commit only where `synchronous` is FULL. A power cut keeps the log up to a frame after
the last one that was forced; SQLite itself then recovers the commits in it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from tests.databases import new_database
from tests.simulation.scheduler import Scheduler
from tests.simulation.write_ahead_log import Log, Position

from mlengine.stores.database.engine import open_database
from mlengine.stores.database.lock_patience import patience_of

_CHANGES = ("INSERT", "UPDATE", "DELETE")
_LOCK_LOOK_SECONDS = 0.02
_COMPILED: dict[object, object] = {}


class _OneDialect(SQLiteDialect_pysqlite):
    """The same for all engines, so that a statement is compiled once and not for each process."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _OneDialect)

    def __hash__(self) -> int:
        return 1


class Database:
    """The file in `folder`, opened anew by each process of the simulation.

    `refusal` gives the error of the next call, by its kind; `watch` is called after each commit.
    """

    def __init__(
        self,
        folder: Path,
        scheduler: Scheduler,
        refusal: Callable[[str], str | None],
        watch: Callable[[], None],
    ) -> None:
        folder.mkdir()
        self.path = folder / "audit.db"
        self.url = new_database(self.path)
        self.scheduler = scheduler
        self.refusal = refusal
        self.watch = watch
        self.log = Log(Path(f"{self.path}-wal"))
        self._observer = self._observe()
        self._factory = type("Connection", (SimulatedConnection,), {"database": self})

    def open(self, *, most_lock_seconds: float | None) -> Engine:
        """An engine of the product for one process; connected once, so that it is warm."""
        engine = open_database(self.url)
        engine.dialect.__class__ = _OneDialect
        engine.update_execution_options(compiled_cache=_COMPILED)
        event.listen(engine, "do_connect", self._connect)
        patience_of(engine).most_seconds = most_lock_seconds
        with engine.connect():
            pass
        return engine

    def look(self, query: str, *values: object) -> list[Any]:
        """The rows of a query, as committed; no step of anybody."""
        return self._observer.execute(query, values).fetchall()

    def change(self, sql: str) -> None:
        """Change the schema for good, as a planted fault does."""
        self._observer.executescript(f"{sql}; PRAGMA wal_checkpoint(TRUNCATE)")

    def cut_power(self, chance: Random) -> Position:
        """Leave what the disk has; returns up to where. All engines are closed by now."""
        position, log = self.log.cut(chance)
        content = self.path.read_bytes()
        self._observer.close()
        for path in self.path.parent.iterdir():
            path.unlink()
        self.path.write_bytes(content)
        self.log.path.write_bytes(log)
        self._observer = self._observe()
        self.log.forced = self.log.position()
        return position

    def close(self) -> None:
        self._observer.close()

    def _observe(self) -> sqlite3.Connection:
        """A connection as long as the machine runs: no other that is closed empties the log."""
        observer = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        observer.execute("SELECT count(*) FROM runs").fetchall()
        return observer

    def _connect(self, _dialect: object, _record: object, _args: Any, options: Any) -> None:
        options["factory"] = self._factory
        options["timeout"] = 0.0  # the simulated clock, not the real one, is waited by


class SimulatedCursor(sqlite3.Cursor):
    def execute(self, sql: str, values: Any = ()) -> Any:
        call = super().execute
        connection: SimulatedConnection = self.connection  # type: ignore[assignment]
        return connection.stepped(sql, lambda: call(sql, values), self)

    def executemany(self, sql: str, rows: Any) -> Any:
        call = super().executemany
        connection: SimulatedConnection = self.connection  # type: ignore[assignment]
        return connection.stepped(sql, lambda: call(sql, rows), self)


class SimulatedConnection(sqlite3.Connection):
    database: Database
    lock_seconds = 5.0
    forces_commits = writes = False

    def cursor(self, *_: Any) -> sqlite3.Cursor:  # type: ignore[override]
        return super().cursor(SimulatedCursor)

    def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
        return self.cursor().execute(sql, values)

    def commit(self) -> None:
        if self.writes:
            self.writes = False
            self._committed(super().commit)
        else:
            super().commit()

    def stepped(self, sql: str, call: Callable[[], sqlite3.Cursor], cursor: SimulatedCursor) -> Any:
        """Make a call as a step of the running task, if it is one."""
        if self.database.scheduler.current is None:
            return call()
        word = sql.split(maxsplit=1)[0]
        if word == "ROLLBACK":
            return call()
        self.database.scheduler.require_alive()
        if word == "PRAGMA":
            return self._pragma(sql, call, cursor)
        if word == "BEGIN":
            return self._begin(sql, call)
        if word == "COMMIT" or (word in _CHANGES and not self.in_transaction):
            return self._committed(lambda: self._when_unlocked(call))
        if word in _CHANGES:
            self._step("change", " ".join(sql.split()[:3]))
        return call()

    def _pragma(
        self, sql: str, call: Callable[[], sqlite3.Cursor], cursor: SimulatedCursor
    ) -> sqlite3.Cursor:
        name, _, value = sql.removeprefix("PRAGMA ").partition("=")
        if name == "busy_timeout":
            self.lock_seconds = int(value) / 1000 if value else self.lock_seconds
            return sqlite3.Cursor.execute(cursor, "SELECT ?", (round(self.lock_seconds * 1000),))
        if name == "synchronous":
            self.forces_commits = value == "FULL"
        if not name.startswith("wal_checkpoint"):
            return call()
        self._step("checkpoint", name)
        result = call()
        self.database.log.force()
        return result

    def _begin(self, sql: str, call: Callable[[], sqlite3.Cursor]) -> Any:
        self.writes = False
        if sql == "BEGIN":
            self.database.scheduler.step("read rows")
            return call()
        self._step("begin", sql)
        result = self._when_unlocked(call)
        self.writes = True
        return result

    def _committed(self, call: Callable[[], Any]) -> Any:
        self._step("commit", "")
        result = call()
        if self.forces_commits:
            self.database.log.force()
        self.database.watch()
        self.database.scheduler.step("committed")
        return result

    def _when_unlocked(self, call: Callable[[], Any]) -> Any:
        """Wait for other writers as SQLite would, by the simulated clock."""
        scheduler = self.database.scheduler
        until = scheduler.now + timedelta(seconds=self.lock_seconds)
        while True:
            try:
                return call()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or scheduler.now >= until:
                    raise
            scheduler.sleep(_LOCK_LOOK_SECONDS)

    def _step(self, kind: str, what: str) -> None:
        scheduler = self.database.scheduler
        scheduler.step(f"{kind} {what}")
        name = self.database.refusal(kind) if scheduler.current else None
        if name is not None:
            scheduler.note(f"refused: {name}")
            error = sqlite3.OperationalError(name)
            error.sqlite_errorcode = getattr(sqlite3, name)
            error.sqlite_errorname = name
            raise error
