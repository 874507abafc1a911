"""How the table of predictions gets its partitions: at once where it is empty, else in steps."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, text

from mlengine.stores.database.engine import writing
from mlengine.stores.database.server.partitions import (
    BEFORE,
    DEFAULT,
    TABLE,
    create_days,
    is_partitioned,
)
from mlengine.stores.database.tables import to_microseconds

# How long the last step waits for a moment without a long transaction on the table.
_LOCK_SECONDS = 5.0
_CHECK = "ck_predictions_before"
# The rows of so many days, too, go to the partition of before. The check that lets it be attached
# without a look at its rows refuses later ones: it must not outlive a process that was killed long.
_DAYS_BEFORE = 8
# Each of the table, and of the partition that is the table of before.
_INDEXES = {
    "uq_predictions_id": "prediction_id, at",
    "ix_predictions_seq": "seq",
    "ix_predictions_at": "at",
    "ix_predictions_symbol": "symbol, seq",
    "ix_predictions_version": "model_version, seq",
    "ix_predictions_vector": "vector_id, model_version, seq",
}
_MISSING_BEFORE = ("uq_predictions_id", "ix_predictions_seq")
_INVALID = text(
    "SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid "
    "WHERE i.indrelid = to_regclass(:name) AND NOT i.indisvalid"
)
_KEYS = text(
    "SELECT conname FROM pg_constraint "
    "WHERE contype IN ('p', 'u') AND conrelid = to_regclass(:name)"
)
_OWN_INDEXES = text(
    "SELECT indexname FROM pg_indexes WHERE tablename = :name AND schemaname = current_schema()"
)

Step = tuple[str, Callable[[], None]]


def partition_if_empty(connection: Connection, *, now: datetime) -> None:
    """Give a table without rows its partitions; does nothing to another one."""
    if connection.dialect.name != "postgresql" or is_partitioned(connection):
        return
    if connection.scalar(text(f"SELECT EXISTS (SELECT FROM {TABLE})")):  # noqa: S608 - a constant
        return
    _swap(connection)
    connection.exec_driver_sql(f"DROP TABLE {BEFORE}")
    create_days(connection, now=now)


def partitioning_steps(engine: Engine, *, now: datetime) -> Iterator[Step]:
    """What makes the table of a running platform one with partitions; nothing where it is one.

    Each step is what it does, in words, and the call that does it. All but the last let others
    read and write; the last one holds the table for milliseconds. Broken off, they begin anew. The
    rows that are there become one partition, until a week from tomorrow.
    """
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    until = to_microseconds(midnight + timedelta(days=_DAYS_BEFORE))
    with engine.connect() as connection:
        if connection.dialect.name != "postgresql" or is_partitioned(connection):
            return
    for name in _MISSING_BEFORE:
        yield f"index of the rows that are there by {_INDEXES[name]}", _indexing(engine, name)
    yield "look at all of them, and make them a partition", lambda: _put_in(engine, until, now)


def _indexing(engine: Engine, name: str) -> Callable[[], None]:
    unique = "UNIQUE " if name.startswith("uq") else ""

    def build() -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for invalid in list(connection.scalars(_INVALID, {"name": TABLE})):
                connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY {invalid}")
            connection.exec_driver_sql(
                f"CREATE {unique}INDEX CONCURRENTLY IF NOT EXISTS {name}_before "
                f"ON {TABLE} ({_INDEXES[name]})"
            )

    return build


def _put_in(engine: Engine, until: int | None, now: datetime) -> None:
    try:
        _check(engine, until)
        _exchange(engine, until, now)
    finally:
        _drop_check(engine)


def _drop_check(engine: Engine) -> None:
    with writing(engine, lock_timeout_seconds=_LOCK_SECONDS) as connection:
        connection.exec_driver_sql(f"ALTER TABLE {TABLE} DROP CONSTRAINT IF EXISTS {_CHECK}")


def _check(engine: Engine, until: int | None) -> None:
    _drop_check(engine)
    alter = f"ALTER TABLE {TABLE}"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(
            f"{alter} ADD CONSTRAINT {_CHECK} CHECK (at < {until}) NOT VALID"
        )
        connection.exec_driver_sql(f"{alter} VALIDATE CONSTRAINT {_CHECK}")


def _exchange(engine: Engine, until: int | None, now: datetime) -> None:
    with writing(engine, lock_timeout_seconds=_LOCK_SECONDS) as connection:
        _swap(connection)
        connection.exec_driver_sql(
            f"ALTER TABLE {TABLE} ATTACH PARTITION {BEFORE} FOR VALUES FROM (MINVALUE) TO ({until})"
        )
        connection.exec_driver_sql(f"ALTER TABLE {BEFORE} DROP CONSTRAINT {_CHECK}")
        create_days(connection, now=now)


def _swap(connection: Connection) -> None:
    """Put a table with partitions and without rows in place of the other, which is renamed."""
    run = connection.exec_driver_sql
    run(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
    for key in list(connection.scalars(_KEYS, {"name": TABLE})):
        run(f'ALTER TABLE {TABLE} DROP CONSTRAINT "{key}"')
    for index in list(connection.scalars(_OWN_INDEXES, {"name": TABLE})):
        if index in _INDEXES:
            run(f"ALTER INDEX {index} RENAME TO {index}_before")
    sequence = connection.scalar(text(f"SELECT pg_get_serial_sequence('{TABLE}', 'seq')"))
    run(f"ALTER TABLE {TABLE} RENAME TO {BEFORE}")
    run(f"CREATE TABLE {TABLE} (LIKE {BEFORE} INCLUDING DEFAULTS) PARTITION BY RANGE (at)")
    run(f"ALTER SEQUENCE {sequence} OWNED BY {TABLE}.seq")
    run(f"ALTER TABLE {TABLE} ADD FOREIGN KEY (vector_id) REFERENCES feature_vectors (id)")
    for name, columns in _INDEXES.items():
        unique = "UNIQUE " if name.startswith("uq") else ""
        run(f"CREATE {unique}INDEX {name} ON {TABLE} ({columns})")
    run(f"CREATE TABLE {DEFAULT} PARTITION OF {TABLE} DEFAULT")
