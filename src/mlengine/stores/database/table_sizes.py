"""What each table takes on disk; of SQLite without SQLAlchemy, so that it is known at once."""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlengine.errors import DatabaseUnavailable

SQLITE_URL = "sqlite:///"
_BUSY_SECONDS = 0.5
_STEPS_BETWEEN_LOOKS = 1000
DEFAULT_SECONDS = 0.25

_SIZES = """
    SELECT s.tbl_name, sum(d.pgsize) FROM dbstat AS d
    JOIN sqlite_schema AS s ON s.name = d.name GROUP BY s.tbl_name
"""
_POSTGRESQL_SIZES = """
    SELECT coalesce(p.relname, c.relname) AS name, sum(pg_total_relation_size(c.oid))::bigint,
        sum(s.n_live_tup)::bigint
    FROM pg_class AS c JOIN pg_stat_user_tables AS s ON s.relid = c.oid
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid LEFT JOIN pg_class AS p ON p.oid = i.inhparent
    WHERE pg_table_is_visible(c.oid) GROUP BY name ORDER BY name
"""


@dataclass(frozen=True)
class TableSize:
    """`bytes` with its indexes; None for what takes too long to count, or was never counted."""

    name: str
    bytes: int | None
    rows: int | None


def sqlite_path(url: str) -> Path | None:
    """The file of a database, if it is in one; whether or not it is there."""
    path = url.removeprefix(SQLITE_URL)
    return Path(path) if path != url and path and "?" not in path and path != ":memory:" else None


def table_sizes(url: str, *, seconds: float = DEFAULT_SECONDS) -> tuple[TableSize, ...]:
    """Of each table of the database at `url`, by name; none where nobody has made it.

    SQLite is counted for so many seconds; what is left then is None. The rows of PostgreSQL are
    its own estimate. Raises DatabaseUnavailable or CannotStart.
    """
    path = sqlite_path(url)
    if path is None:
        return _postgresql_sizes(url)
    if not path.is_file():
        return ()
    try:
        with closing(_open(path)) as connection:
            return _sqlite_sizes(connection, seconds=seconds)
    except sqlite3.Error as error:
        raise DatabaseUnavailable("its file can't be read") from error


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS
    )
    connection.execute("PRAGMA query_only=ON")
    return connection


def _sqlite_sizes(connection: sqlite3.Connection, *, seconds: float) -> tuple[TableSize, ...]:
    tables = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
        "ESCAPE '\\' ORDER BY name"
    )
    names = [str(name) for (name,) in tables]
    deadline = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    rows = {name: _ask(connection, f'SELECT count(*) FROM "{name}"') for name in names}  # noqa: S608 - of the schema
    sizes = dict(_ask(connection, _SIZES))
    return tuple(
        TableSize(name, sizes.get(name), rows[name][0][0] if rows[name] else None) for name in names
    )


def _ask(connection: sqlite3.Connection, query: str) -> list[Any]:
    """Nothing where time runs out, or SQLite was built without `dbstat`."""
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_ERROR):
            return []
        raise


def _postgresql_sizes(url: str) -> tuple[TableSize, ...]:
    from mlengine.stores.database.engine import open_database, reading  # noqa: PLC0415 - SQLAlchemy

    engine = open_database(url)
    try:
        with reading(engine) as connection:
            found = connection.exec_driver_sql(_POSTGRESQL_SIZES).all()
    finally:
        engine.dispose()
    return tuple(TableSize(name, size, rows) for name, size, rows in found)
