"""The one database: opening it, writing and reading it in transactions, and its schema.

Every failure to use it becomes DatabaseUnavailable, with a reason that quotes no driver.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson
from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mlengine.errors import CannotStart, DamagedRow, DatabaseUnavailable
from mlengine.stores.database.lock_patience import give_patience, patience_of, wait_for_turn
from mlengine.stores.database.sqlite.checkpointer import WalCheckpointer
from mlengine.stores.database.sqlite.file_watch import FileWatch, watch_of
from mlengine.stores.database.tables import REVISION

if TYPE_CHECKING:
    import sqlite3

_BEGIN = "mlengine_begin"
_LOCK_SECONDS = "mlengine_lock_seconds"
_REASONS = {
    "SQLITE_BUSY": "another process keeps it locked",
    "SQLITE_READONLY": "it is read-only",
    "SQLITE_FULL": "its disk is full",
    "SQLITE_CANTOPEN": "its file can't be opened",
    "SQLITE_IOERR": "its disk gives errors",
    "SQLITE_CORRUPT": "its file is damaged",
    "SQLITE_NOTADB": "its file is not a database",
    "SQLITE_ERROR": "its schema is another one; run `mlengine db upgrade`",
}


def open_database(url: str, *, busy_timeout_seconds: float = 5.0) -> Engine:
    """An engine on SQLite or PostgreSQL; nothing is connected or created yet.

    A SQLite writer waits `busy_timeout_seconds` for the others. Raises CannotStart on a URL
    that names no database or a driver that is not installed.
    """
    try:
        address = make_url(url)
        if address.get_backend_name() != "sqlite":
            server = create_engine(address, hide_parameters=True, pool_pre_ping=True)
            give_patience(server)
            return server
        engine = create_engine(
            address, hide_parameters=True, connect_args={"timeout": busy_timeout_seconds}
        )
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise CannotStart("AUDIT_DATABASE_URL names no database that is known here") from error
    except ModuleNotFoundError as error:
        raise CannotStart(
            f"AUDIT_DATABASE_URL needs the database driver {error.name}: pip install it"
        ) from error
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    give_patience(engine)
    if _is_file(engine.url):
        WalCheckpointer(engine).install()
        if (file := database_file(engine)) is not None:
            FileWatch(str(file)).install(engine)
    return engine


def _is_file(url: URL) -> bool:
    in_memory = ":memory:" in (url.database or ":memory:") or url.query.get("mode") == "memory"
    return not in_memory


def database_file(engine: Engine) -> Path | None:
    """The file of a SQLite database; None for one in memory, named by a URI, or on a server."""
    url = engine.url
    if url.get_backend_name() != "sqlite" or not _is_file(url) or "uri" in url.query:
        return None
    return Path(url.database or "")


def is_missing(engine: Engine) -> bool:
    """Whether nobody has made its file yet; connecting would make an empty one."""
    file = database_file(engine)
    return file is not None and not file.is_file()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is ours: the driver would defer it
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
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
        wait_for_turn(driver, begin, seconds=seconds)


@contextmanager
def writing(
    engine: Engine, *, lock_timeout_seconds: float | None = None, survives_power_cut: bool = False
) -> Iterator[Connection]:
    """One write transaction, committed at the end of the block; raises DatabaseUnavailable.

    `lock_timeout_seconds` is how long other writers are waited for, by default what the engine was
    opened with, and in no case longer than its LockPatience. With `survives_power_cut` the commit,
    and with it all before, is forced to disk also where the database is a SQLite file. A broken
    constraint stays SQLAlchemy's IntegrityError: it speaks of the row, not the store.
    """
    watch, seconds = watch_of(engine), patience_of(engine).seconds(lock_timeout_seconds)
    if watch:
        watch.check()
    with _translated_errors(engine), engine.connect() as connection:
        # A deferred transaction that turns to writing fails at once where an immediate one waits.
        options = {_BEGIN: "BEGIN IMMEDIATE", _LOCK_SECONDS: seconds}
        connection.execution_options(**options)
        with (
            _own_wait(connection, seconds),
            _forced_commit(connection, survives_power_cut),
            connection.begin(),
        ):
            if seconds is not None and connection.dialect.name != "sqlite":
                milliseconds = max(1, round(seconds * 1000))
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")
            yield connection
    if watch:
        watch.check()  # else it was committed into a file that nobody will read


@contextmanager
def _own_wait(connection: Connection, seconds: float | None) -> Iterator[None]:
    """Let SQLite not wait itself where `seconds` says how long; the pool gets it back as it was."""
    driver = connection.connection.driver_connection
    if seconds is None or driver is None or connection.dialect.name != "sqlite":
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
    if not forced or driver is None or connection.dialect.name != "sqlite":
        yield
        return
    driver.execute("PRAGMA synchronous=FULL")
    try:
        yield
    finally:
        driver.rollback()  # of a commit that failed; within a transaction the level stays
        driver.execute("PRAGMA synchronous=NORMAL")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One read transaction, all its statements on one snapshot; raises DatabaseUnavailable."""
    with _translated_errors(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def _translated_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeout) as error:
        if _sqlite_error(error) == "SQLITE_BUSY":
            patience_of(engine).record_locked()
        raise DatabaseUnavailable(_reason(error)) from error


def _reason(error: DBAPIError | PoolTimeout) -> str:
    return _REASONS.get(_sqlite_error(error), "it does not answer")


def _sqlite_error(error: DBAPIError | PoolTimeout) -> str:
    """The name of its kind, empty for an error of another database."""
    name = str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))
    return "_".join(name.split("_")[:2])


def parse_column(text: str) -> Any:
    """The JSON in a column; raises DamagedRow where it is none any more."""
    try:
        return orjson.loads(text)
    except ValueError:
        raise DamagedRow from None


def insert_or_ignore(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT into `table` that skips rows which are there already."""
    return _insert_or_ignore(connection.dialect.name, table)


@cache
def _insert_or_ignore(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    if dialect == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()


def lock_tables(connection: Connection, *tables: Table) -> None:
    """Let nobody else write to `tables` until this transaction ends; they may be read."""
    if connection.dialect.name != "sqlite":  # whose only writer we are already
        names = ", ".join(table.name for table in tables)
        connection.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")


def enable_wal(engine: Engine) -> None:
    """Let readers and the writer of a SQLite file not wait for each other; the file keeps it."""
    with _translated_errors(engine), engine.connect() as connection:
        connection.execution_options(**{_BEGIN: ""})  # not possible within a transaction
        # Of a new file only. Small, since a row changes seven pages and each is written whole; but
        # a window of bars shall not take four.
        connection.exec_driver_sql("PRAGMA page_size=2048")
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")


def schema_is_current(engine: Engine) -> bool:
    """Whether the schema is the one of this version; raises DatabaseUnavailable."""
    with reading(engine) as connection:
        return schema_revision(connection) == REVISION


def schema_revision(connection: Connection) -> str | None:
    """The revision that the database is at; None where no migration has run."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
