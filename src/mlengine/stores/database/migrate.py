"""Brings the database to the schema of this version; safe when several processes do it at once."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, func, select, text

from mlengine.errors import CannotStart
from mlengine.stores.database.engine import (
    enable_wal,
    open_database,
    schema_revision,
    writing,
)
from mlengine.stores.database.server.partitioning import partition_if_empty
from mlengine.stores.database.tables import REVISION

log = logging.getLogger(__name__)

_SCRIPTS = Path(__file__).parent / "migrations"
_POSTGRES_LOCK = 7_311_005  # any number, the same in every version


def migrate(url: str) -> None:
    """Create the database and its folder where they are missing, and run what migrations it lacks.

    Raises CannotStart when the folder can't be used, the URL names no database or a newer platform
    has migrated it, and DatabaseUnavailable when the database refuses.
    """
    engine = open_database(url)
    try:
        with _exclusive(engine), writing(engine) as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_POSTGRES_LOCK})"))
            refuse_newer(schema_revision(connection))
            config = migration_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if engine.dialect.name == "postgresql":
                now = connection.execute(select(func.clock_timestamp())).scalar_one()
                partition_if_empty(connection, now=now.astimezone(UTC))
    finally:
        engine.dispose()


def refuse_newer(revision: str | None) -> None:
    """Raises CannotStart: a newer platform may have written what this one would misread."""
    if revision is not None and revision > REVISION:
        raise CannotStart(
            f"the database is of a newer mlengine (schema {revision[:20]}, this one knows "
            f"{REVISION}): install that version again, or let AUDIT_DATABASE_URL name a copy of "
            "the database from before its upgrade (`mlengine db backup`)"
        )


def judge_schema(revision: str) -> None:
    """As `refuse_newer`; a warning of one that is older, into which nothing is written."""
    refuse_newer(revision)
    if revision != REVISION:
        facts = {"schema": revision, "of_this_version": REVISION, "next_step": "mlengine migrate"}
        log.warning("database of an older schema, rows wait in the spool", extra=facts)


def migration_config() -> Config:
    """Alembic's configuration, without a file and without a word to `logging`."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config


@contextmanager
def _exclusive(engine: Engine) -> Iterator[None]:
    """Holds an exclusive lock beside a SQLite file, whose WAL mode is set under it."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name:
        yield
        return
    lock = Path(f"{name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a")
    except OSError as error:
        raise CannotStart(f"the folder {lock.parent} can't be written: {error.strerror}") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        enable_wal(engine)
        yield
