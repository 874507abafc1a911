"""Checks of the queue and of the database."""

from pathlib import Path
from time import time

from sqlalchemy import func, select

from mlengine.errors import CannotStart, DatabaseUnavailable
from mlengine.services.diagnosis.checks import Finding
from mlengine.services.diagnosis.machine import nearest_folder, probe_disk
from mlengine.stores.database.engine import (
    is_missing,
    open_database,
    schema_revision,
    writing,
)
from mlengine.stores.database.sqlite.transactions import database_file
from mlengine.stores.database.tables import REVISION
from mlengine.stores.queue.jobs import open_queue
from mlengine.stores.queue.server import find_binary
from mlengine.stores.system import atomic_files, preflight

_PATIENCE_SECONDS = 2.0


def check_queue(redis_url: str | None, artifacts_dir: Path, database_url: str) -> Finding:
    """The queue answers, or there is a program that would; raises QueueUnavailable, CannotStart."""
    if not redis_url and not preflight.is_supervised(artifacts_dir):
        binary = find_binary()
        return Finding("ok", f"`mlengine up` starts its own: {binary.kind} {binary.version}")
    database = open_database(database_url)
    queue = open_queue(redis_url, artifacts_dir, database)
    lead = queue.server_time() - time()
    which = "the server of REDIS_URL" if redis_url else "the embedded server"
    if is_missing(database):  # which gives the queue its name
        return Finding("ok", f"{which} answers, no platform was started here yet", lead)
    try:
        return Finding("ok", f"{which} answers, workers at it: {queue.workers()}", lead)
    except DatabaseUnavailable:
        return Finding("warning", f"{which} answers, who is at it stands in the database", lead)
    finally:
        database.dispose()


def check_database(url: str) -> Finding:
    """It can be written, and its schema is this version's; raises DatabaseUnavailable, CannotStart.

    One that is not there is not made.
    """
    engine = open_database(url, busy_timeout_seconds=_PATIENCE_SECONDS)
    file = database_file(engine)
    if file is not None:
        _probe_disk(file.absolute().parent)
    if is_missing(engine):
        return Finding("ok", DatabaseUnavailable.never_started)
    local = engine.dialect.name == "sqlite"
    try:
        with writing(engine, lock_timeout_seconds=_PATIENCE_SECONDS) as connection:
            revision = schema_revision(connection)
            clock = None if local else connection.scalar(select(func.clock_timestamp()))
            lead = clock.timestamp() - time() if clock else None
    finally:
        engine.dispose()
    if revision is None or revision < REVISION:
        old = "without a schema" if revision is None else f"of revision {revision}"
        return Finding(
            "warning", f"it is {old}, this version needs {REVISION}: `mlengine migrate`", lead
        )
    if revision > REVISION:
        raise CannotStart(
            f"its revision {revision} is of a later version of mlengine, this one knows {REVISION}"
        )
    return Finding("ok", f"it can be written, schema revision {revision}", lead)


def _probe_disk(folder: Path) -> None:
    """A transaction that writes nothing succeeds on a full disk; raises DatabaseUnavailable."""
    place = nearest_folder(folder)
    try:
        probe_disk(place)
    except OSError as error:
        raise DatabaseUnavailable(f"{atomic_files.describe_error(error)} ({place})") from error
