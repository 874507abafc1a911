"""The one database: opening it, writing and reading it in transactions, and its schema.

Every failure to use it becomes DatabaseUnavailable, with a reason that quotes no driver.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import orjson
from sqlalchemy import Connection, Engine, Table, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mlengine.errors import CannotStart, DamagedRow, DatabaseUnavailable
from mlengine.stores.database.lock_patience import give_patience, patience_of
from mlengine.stores.database.server.limits import limits_of
from mlengine.stores.database.server.opening import open_server
from mlengine.stores.database.sqlite.file_watch import watch_of
from mlengine.stores.database.sqlite.transactions import (
    database_file,
    open_sqlite,
    without_transaction,
    writing_sqlite,
)
from mlengine.stores.database.tables import REVISION

if TYPE_CHECKING:
    from mlengine.stores.database.server.connection import LimitedConnection

DEFAULT_TIMEOUT_SECONDS = 2.0
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


def open_database(
    url: str, *, busy_timeout_seconds: float = 5.0, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> Engine:
    """An engine on SQLite or PostgreSQL; nothing is connected or created yet.

    A SQLite writer waits `busy_timeout_seconds` for the others; `timeout_seconds` is for a server
    (see ServerLimits). Raises CannotStart on a URL that names no database or a driver that is not
    installed.
    """
    try:
        address = make_url(url)
        if address.get_backend_name() == "sqlite":
            engine = open_sqlite(address, busy_timeout_seconds=busy_timeout_seconds)
        else:
            engine = open_server(address, timeout_seconds=timeout_seconds)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise CannotStart("AUDIT_DATABASE_URL names no database that is known here") from error
    except ModuleNotFoundError as error:
        raise CannotStart(
            f"AUDIT_DATABASE_URL needs the database driver {error.name}: pip install it"
        ) from error
    give_patience(engine)
    return engine


def guard_answers(engine: Engine, *, lock_seconds: float) -> None:
    """Hold this process, whose clients wait, to short waits: for other writers and for a server."""
    patience_of(engine).most_seconds = lock_seconds
    limits = limits_of(engine)
    if limits is not None:
        limits.guards_answers = True
        engine.dispose()  # what was opened before does not know its limit


def is_missing(engine: Engine) -> bool:
    """Whether nobody has made its file yet; connecting would make an empty one."""
    file = database_file(engine)
    return file is not None and not file.is_file()


@contextmanager
def writing(
    engine: Engine,
    *,
    lock_timeout_seconds: float | None = None,
    waits_by_itself: bool = False,
    survives_power_cut: bool = False,
    may_take_long: bool = False,
) -> Iterator[Connection]:
    """One write transaction, committed at the end of the block; raises DatabaseUnavailable.

    `lock_timeout_seconds` is how long other writers are waited for, by default what the engine was
    opened with, and in no case longer than its LockPatience, which hears what `waits_by_itself`.
    With `survives_power_cut` the commit, and with it all before, is forced to disk also where the
    database is a SQLite file. A statement that `may_take_long` is held to no limit of a server. A
    broken constraint stays SQLAlchemy's IntegrityError: it speaks of the row, not the store.
    """
    watch, patience = watch_of(engine), patience_of(engine)
    seconds = patience.seconds(lock_timeout_seconds, by_itself=waits_by_itself)
    if watch:
        watch.check()
    with _connected(engine) as connection:
        if connection.dialect.name == "sqlite":
            own = writing_sqlite(
                connection,
                seconds,
                survives_power_cut=survives_power_cut,
                may_take_long=may_take_long,
            )
            with own, connection.begin():
                yield connection
        else:
            with connection.begin(), _time_taken(connection, may_take_long):
                if seconds is not None:
                    milliseconds = max(1, round(seconds * 1000))
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")
                yield connection
    if watch:
        watch.check()  # else it was committed into a file that nobody will read


@contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    limits = limits_of(engine)
    if limits is not None:
        limits.require_answering()
    with _translated_errors(), engine.connect() as connection:
        yield connection


@contextmanager
def _time_taken(connection: Connection, may_take_long: bool) -> Iterator[None]:
    """Within a transaction."""
    driver = connection.connection.driver_connection
    if not may_take_long or limits_of(connection.engine) is None:
        yield
        return
    from mlengine.stores.database.server.connection import unhurried  # noqa: PLC0415 - an extra

    with unhurried(cast("LimitedConnection", driver)):
        yield


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One read transaction, all its statements on one snapshot; raises DatabaseUnavailable."""
    with _connected(engine) as connection, connection.begin():
        yield connection


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeout) as error:
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
    with _translated_errors(), engine.connect() as connection:
        without_transaction(connection)
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
