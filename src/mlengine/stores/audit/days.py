"""Whole days of predictions that leave the table at once, and the vectors that only they had."""

from collections.abc import Callable, Collection
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, delete, exists, func, select, text

from mlengine.stores.database.engine import lock_tables, reading, writing
from mlengine.stores.database.server.partitions import (
    PRUNED,
    Partition,
    detach,
    detached,
    partitions,
)
from mlengine.stores.database.tables import bar_windows, feature_vectors, predictions

# Others write for milliseconds, but a long reading holds a partition; it is tried again later.
LOCK_SECONDS = 1.0


def detach_days(engine: Engine, *, before: datetime) -> list[str]:
    """Take the partitions that end by then out of the table; the names of what they are now.

    With those of earlier days that are there still. Raises DatabaseUnavailable.
    """
    for partition in closed_partitions(engine, before=before):
        with writing(engine, lock_timeout_seconds=LOCK_SECONDS, may_take_long=True) as connection:
            detach(connection, partition, PRUNED)
    with reading(engine) as connection:
        return detached(connection, PRUNED)


def of_day(day: date) -> tuple[ColumnElement[bool], ...]:
    """The conditions for predictions of a date in UTC."""
    since = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return predictions.c.at >= since, predictions.c.at < since + timedelta(days=1)


def first_day(engine: Engine, *, since: date = date.min) -> date | None:
    """The first date in UTC, from `since` on, that the table has predictions of.

    Raises DatabaseUnavailable.
    """
    query = select(func.min(predictions.c.at))
    if since > date.min:
        query = query.where(predictions.c.at >= datetime(*since.timetuple()[:3], tzinfo=UTC))
    with reading(engine) as connection:
        first: datetime | None = connection.scalar(query)
    return None if first is None else first.astimezone(UTC).date()


def closed_partitions(engine: Engine, *, before: datetime) -> list[Partition]:
    """Those that end by then; raises DatabaseUnavailable."""
    with reading(engine) as connection:
        return [each for each in partitions(connection) if each.until <= before]


def remove_detached(
    engine: Engine, table: str, *, batch_rows: int, removed: Callable[[Connection, int], None]
) -> None:
    """Delete such a table, and first the vectors and windows that only it refers to.

    `removed` is told how many predictions it had, in the transaction in which it goes.
    """
    last = -1
    query = text(
        f"SELECT DISTINCT vector_id FROM {table} WHERE vector_id > :last "  # noqa: S608 - a name of ours
        "ORDER BY vector_id LIMIT :rows"
    )
    while True:
        with writing(engine, may_take_long=True) as connection:
            ids = list(connection.scalars(query, {"last": last, "rows": batch_rows}))
            if not ids:
                count = connection.scalar(text(f"SELECT count(*) FROM {table}"))  # noqa: S608
                connection.exec_driver_sql(f"DROP TABLE {table}")
                removed(connection, count or 0)
                return
            # In the order in which an append comes to them, so that neither waits for the other.
            lock_tables(connection, feature_vectors, bar_windows, predictions)
            remove_unused(connection, ids)
            last = ids[-1]


def remove_unused(connection: Connection, vector_ids: Collection[int]) -> None:
    """Delete those vectors that no prediction refers to, and likewise their windows."""
    vector, window = feature_vectors.c, bar_windows.c
    if not vector_ids:
        return
    unused = ~exists().where(predictions.c.vector_id == vector.id)
    query = select(vector.id, vector.bars_hash).where(vector.id.in_(vector_ids), unused)
    rows = connection.execute(query).all()
    connection.execute(delete(feature_vectors).where(vector.id.in_([row.id for row in rows])))
    unused = ~exists().where(vector.bars_hash == window.bars_hash)
    hashes = {row.bars_hash for row in rows}
    connection.execute(delete(bar_windows).where(window.bars_hash.in_(hashes), unused))
