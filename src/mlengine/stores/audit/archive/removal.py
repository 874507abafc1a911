"""Taking the predictions of an archived file out of the table: all of them at once, or none."""

from datetime import datetime

from sqlalchemy import Connection, Engine, delete, func, select, text

from mlengine.core.monitoring.event import Event
from mlengine.errors import CannotWrite
from mlengine.stores.audit.days import (
    LOCK_SECONDS,
    closed_partitions,
    of_day,
    remove_detached,
    remove_unused,
)
from mlengine.stores.database.archive.files import ArchiveFile
from mlengine.stores.database.engine import lock_tables, reading, writing
from mlengine.stores.database.events import insert_event
from mlengine.stores.database.server.partitions import (
    ARCHIVED,
    Partition,
    detach,
    detached,
)
from mlengine.stores.database.tables import bar_windows, feature_vectors, predictions

CHANGED = "predictions of its day came meanwhile"
_VECTORS_A_STATEMENT = 5_000


def remove_archived(engine: Engine, file: ArchiveFile, *, actor: str, at: datetime) -> None:
    """From then on the file counts; one event `audit_archived` says so.

    Raises DatabaseUnavailable, and CannotWrite where predictions of the day came meanwhile.
    """
    for partition in closed_partitions(engine, before=file.until):
        if (partition.since, partition.until) == (file.since, file.until):
            _detach(engine, partition, file, actor=actor, at=at)
            remove_leftovers(engine)
            return
    with writing(engine, may_take_long=True) as connection:
        _delete(connection, file)
        insert_event(connection, _event(file, actor, at))


def remove_leftovers(engine: Engine) -> None:
    """The vectors of archived days that nothing refers to; also of one that was broken off."""
    with reading(engine) as connection:
        tables = detached(connection, ARCHIVED)
    for table in tables:
        remove_detached(engine, table, batch_rows=_VECTORS_A_STATEMENT, removed=lambda *_: None)


def _detach(
    engine: Engine, partition: Partition, file: ArchiveFile, *, actor: str, at: datetime
) -> None:
    with writing(engine, lock_timeout_seconds=LOCK_SECONDS, may_take_long=True) as connection:
        connection.exec_driver_sql(f"LOCK TABLE {partition.name} IN EXCLUSIVE MODE")
        query = text(f"SELECT count(*), min(seq), max(seq) FROM {partition.name}")  # noqa: S608 - ours
        if tuple(connection.execute(query).one()) != (file.rows, file.first, file.last):
            raise CannotWrite(str(file.path), CHANGED)
        detach(connection, partition, ARCHIVED)
        insert_event(connection, _event(file, actor, at))


def _delete(connection: Connection, file: ArchiveFile) -> None:
    # In the order in which an append comes to them, so that neither waits for the other.
    lock_tables(connection, feature_vectors, bar_windows, predictions)
    row, ours = predictions.c, of_day(file.day)
    found = select(func.count(), func.min(row.seq), func.max(row.seq)).where(*ours)
    if tuple(connection.execute(found).one()) != (file.rows, file.first, file.last):
        raise CannotWrite(str(file.path), CHANGED)
    vectors = select(row.vector_id).where(*ours, row.vector_id.is_not(None)).distinct()
    ids = list(connection.scalars(vectors))
    connection.execute(delete(predictions).where(*ours))
    for first in range(0, len(ids), _VECTORS_A_STATEMENT):
        remove_unused(connection, ids[first : first + _VECTORS_A_STATEMENT])


def _event(file: ArchiveFile, actor: str, at: datetime) -> Event:
    details = {"predictions": file.rows, "day": str(file.day), "file": file.path.name}
    return Event(kind="audit_archived", at=at, version=None, actor=actor, details=details)
