"""Predictions by day: partitions of PostgreSQL's own, one for each date in UTC.

What belongs to no day that has one goes to the partition `predictions_default`; what was written
before the table had partitions stays together in `predictions_before`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from mlengine.core.timestamps import EPOCH
from mlengine.stores.database.tables import MICROSECOND, to_microseconds

TABLE, DEFAULT, BEFORE = "predictions", "predictions_default", "predictions_before"
# What days are called that are no part of the table any more, and whose vectors are being removed.
PRUNED, ARCHIVED = "pruned_predictions_", "archived_predictions_"
_DAY, _DAYS_AHEAD = timedelta(days=1), 7
_BOUNDS = re.compile(r"FOR VALUES FROM \((MINVALUE|'(-?\d+)')\) TO \('(-?\d+)'\)")
_KIND = text("SELECT relkind::text FROM pg_class WHERE oid = to_regclass(:name)")
_PARTITIONS = text(
    "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits AS i "
    "JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(:name)"
)
_TABLES = text(
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid) "
    "AND starts_with(relname, :prefix) ORDER BY relname"
)
_FOREIGN_KEYS = text(
    "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = to_regclass(:name)"
)


@dataclass(frozen=True)
class Partition:
    """Predictions from `since` on (None: from the first) until before `until`."""

    name: str
    since: datetime | None
    until: datetime


def is_partitioned(connection: Connection) -> bool:
    """Whether the predictions are in partitions; never on SQLite."""
    if connection.dialect.name != "postgresql":
        return False
    return bool(connection.scalar(_KIND, {"name": TABLE}) == "p")


def partitions(connection: Connection) -> list[Partition]:
    """Those with bounds, the oldest first; none of a table without partitions."""
    if connection.dialect.name != "postgresql":
        return []
    found = []
    for name, bounds in connection.execute(_PARTITIONS, {"name": TABLE}):
        match = _BOUNDS.fullmatch(bounds or "")
        if match:
            since = None if match[2] is None else _moment(match[2])
            found.append(Partition(name, since, _moment(match[3])))
    return sorted(found, key=lambda each: each.until)


def create_days(connection: Connection, *, now: datetime) -> Sequence[str]:
    """Add the partitions of today and the coming week that are missing; returns their names.

    A day of which rows are in the default partition already stays there.
    """
    if not is_partitioned(connection):
        return []
    there, made = partitions(connection), []
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for day in (midnight + number * _DAY for number in range(_DAYS_AHEAD + 1)):
        covered = any((each.since or day) <= day < each.until for each in there)
        if not covered and not _is_in_default(connection, day):
            made.append(_create_day(connection, day))
    return made


def days_are_missing(connection: Connection, *, now: datetime) -> bool:
    """Whether tomorrow has no partition yet, in a table that has some."""
    there = partitions(connection)
    return bool(there) and there[-1].until < now + 2 * _DAY


def detach(connection: Connection, partition: Partition, prefix: str) -> str:
    """Make a partition a table of its own that nothing refers to; returns its name."""
    name = f"{prefix}{partition.name.removeprefix(f'{TABLE}_')}"
    connection.exec_driver_sql(f"ALTER TABLE {TABLE} DETACH PARTITION {partition.name}")
    for key in list(connection.scalars(_FOREIGN_KEYS, {"name": partition.name})):
        connection.exec_driver_sql(f'ALTER TABLE {partition.name} DROP CONSTRAINT "{key}"')
    connection.exec_driver_sql(f"ALTER TABLE {partition.name} RENAME TO {name}")
    return name


def detached(connection: Connection, prefix: str) -> list[str]:
    """The names of such tables that are there still."""
    if connection.dialect.name != "postgresql":
        return []
    return list(connection.scalars(_TABLES, {"prefix": prefix}))


def _is_in_default(connection: Connection, day: datetime) -> bool:
    query = text(f"SELECT EXISTS (SELECT FROM {DEFAULT} WHERE at >= :since AND at < :until)")  # noqa: S608 - a constant
    return bool(connection.scalar(query, _bounds(day)))


def _create_day(connection: Connection, day: datetime) -> str:
    """Attached as a table of its own: readers and writers of the others go on meanwhile."""
    name, bounds = f"{TABLE}_{day:%Y%m%d}", _bounds(day)
    connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING DEFAULTS)")
    connection.exec_driver_sql(
        f"ALTER TABLE {TABLE} ATTACH PARTITION {name} "
        f"FOR VALUES FROM ({bounds['since']}) TO ({bounds['until']})"
    )
    return name


def _bounds(day: datetime) -> dict[str, int | None]:
    return {"since": to_microseconds(day), "until": to_microseconds(day + _DAY)}


def _moment(microseconds: str) -> datetime:
    return EPOCH + int(microseconds) * MICROSECOND
