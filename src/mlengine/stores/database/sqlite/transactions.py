"""Opening SQLite, and how its transactions begin, wait for others and reach the disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event

from mlengine.stores.database.lock_patience import patience_of, wait_for_turn
from mlengine.stores.database.sqlite.checkpointer import WalCheckpointer
from mlengine.stores.database.sqlite.file_watch import FileWatch

if TYPE_CHECKING:
    import sqlite3

_BEGIN = "mlengine_begin"
_LOCK_SECONDS = "mlengine_lock_seconds"
# What a statement of many rows undoes itself with, a copy of each page that it changes: SQLite
# writes it into a temporary file from 64 KB on, a quarter of what it takes for a batch.
JOURNAL_IN_MEMORY, _JOURNAL_BY_DEFAULT = "PRAGMA temp_store=MEMORY", "PRAGMA temp_store=DEFAULT"


def open_sqlite(address: URL, *, busy_timeout_seconds: float) -> Engine:
    """An engine on a SQLite file, or on one in memory; nothing is connected or created yet."""
    engine = create_engine(
        address, hide_parameters=True, connect_args={"timeout": busy_timeout_seconds}
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    if _is_file(engine.url):
        WalCheckpointer(engine).install()
        if (file := database_file(engine)) is not None:
            FileWatch(str(file)).install(engine)
    return engine


def database_file(engine: Engine) -> Path | None:
    """The file of a SQLite database; None for one in memory, named by a URI, or on a server."""
    url = engine.url
    if url.get_backend_name() != "sqlite" or not _is_file(url) or "uri" in url.query:
        return None
    return Path(url.database or "")


def _is_file(url: URL) -> bool:
    in_memory = ":memory:" in (url.database or ":memory:") or url.query.get("mode") == "memory"
    return not in_memory


def without_transaction(connection: Connection) -> None:
    """Let the next statements run by themselves, as what changes the file's mode has to."""
    connection.execution_options(**{_BEGIN: ""})


@contextmanager
def writing_sqlite(
    connection: Connection,
    seconds: float | None,
    *,
    survives_power_cut: bool,
    may_take_long: bool,
) -> Iterator[None]:
    """Let the transaction of this block write at once, wait so long for others, and be forced.

    What `may_take_long` may change more pages than there is memory for.
    """
    # A deferred transaction that turns to writing fails at once where an immediate one waits.
    connection.execution_options(**{_BEGIN: "BEGIN IMMEDIATE", _LOCK_SECONDS: seconds})
    with (
        _own_wait(connection, seconds),
        _forced_commit(connection, survives_power_cut),
        _journal_in_memory(connection, unless=may_take_long),
    ):
        yield


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is ours: the driver would defer it
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    statement = options.get(_BEGIN, "BEGIN")
    seconds: float | None = options.get(_LOCK_SECONDS)
    if not statement:
        return
    if seconds is None:
        connection.exec_driver_sql(statement)
    else:
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        begin = partial(connection.exec_driver_sql, statement)
        wait_for_turn(driver, begin, seconds=seconds, patience=patience_of(connection.engine))


@contextmanager
def _own_wait(connection: Connection, seconds: float | None) -> Iterator[None]:
    """Let SQLite not wait itself where `seconds` says how long; the pool gets it back as it was."""
    driver = connection.connection.driver_connection
    if seconds is None or driver is None:
        yield
        return
    (usual,) = driver.execute("PRAGMA busy_timeout").fetchone()
    driver.execute("PRAGMA busy_timeout=0")
    try:
        yield
    finally:
        driver.execute(f"PRAGMA busy_timeout={usual}")


@contextmanager
def _forced_commit(connection: Connection, forced: bool) -> Iterator[None]:
    """Let SQLite wait for the disk at the commit of this block's transaction."""
    driver = connection.connection.driver_connection
    if not forced or driver is None:
        yield
        return
    driver.execute("PRAGMA synchronous=FULL")
    try:
        yield
    finally:
        driver.rollback()  # of a commit that failed; within a transaction the level stays
        driver.execute("PRAGMA synchronous=NORMAL")


@contextmanager
def _journal_in_memory(connection: Connection, *, unless: bool) -> Iterator[None]:
    """Keep there what a statement of this block's transaction would undo itself with."""
    driver = connection.connection.driver_connection
    if unless or driver is None:
        yield
        return
    driver.execute(JOURNAL_IN_MEMORY)
    try:
        yield
    finally:
        driver.rollback()  # of a commit that failed; within a transaction it stays
        driver.execute(_JOURNAL_BY_DEFAULT)
