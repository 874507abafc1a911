"""Live rows of each version, counted by date, and how far they were looked at."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from mlengine.core.line_names import MODEL_LINE, version_key
from mlengine.core.monitoring.drift.tallies import DateTallies
from mlengine.core.monitoring.event import Event
from mlengine.errors import DamagedRow
from mlengine.stores.database.engine import parse_column, reading, writing
from mlengine.stores.database.events import insert_event
from mlengine.stores.database.tables import drift_progress, drift_tallies
from mlengine.stores.database.version_keys import is_of_line
from mlengine.stores.monitoring.tally_payload import decode_dates, encode_date


@dataclass(frozen=True)
class DriftProgress:
    """`prediction_seq` is the newest that was counted, `alarm` what its alarm knows."""

    prediction_seq: int
    updated_at: datetime
    alarm: Mapping[str, Any]


@dataclass(frozen=True)
class DriftStore:
    """Of the versions of a line; every method raises DatabaseUnavailable.

    The tables are `drift_tallies` and `drift_progress`. Dates are days since 1970.
    """

    engine: Engine
    line: str = MODEL_LINE

    def progress(self, version: str) -> DriftProgress | None:
        """None where nothing of the version was counted; raises DamagedRow."""
        query = select(drift_progress).where(drift_progress.c.version == self._key(version))
        with reading(self.engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        alarm = parse_column(row.alarm)
        if not isinstance(alarm, dict):
            raise DamagedRow
        return DriftProgress(row.prediction_seq, row.updated_at, alarm)

    def rows_by_date(self, version: str) -> list[tuple[int, int]]:
        """Each date with its number of rows, the newest first."""
        table = drift_tallies.c
        query = select(table.date, table.rows).where(table.version == self._key(version))
        with reading(self.engine) as connection:
            return [(row.date, row.rows) for row in connection.execute(query.order_by(-table.date))]

    def tallies(self, version: str, *, since: int, features: int) -> DateTallies:
        """The dates from `since` on, of so many features; raises DamagedRow."""
        table = drift_tallies.c
        query = select(table.date, table.rows, table.distinct_rows, table.payload)
        query = query.where(table.version == self._key(version), table.date >= since)
        query = query.order_by(table.date)
        with reading(self.engine) as connection:
            rows = [tuple(row) for row in connection.execute(query)]
        return decode_dates(rows, features=features)

    def record(self, version: str, tallies: DateTallies) -> None:
        """Replace the counts of these dates."""
        rows = [
            {
                "version": self._key(version),
                "date": int(date),
                "rows": int(tallies.rows[at]),
                "distinct_rows": int(tallies.distinct[at]),
                "payload": encode_date(tallies, at),
            }
            for at, date in enumerate(tallies.dates)
        ]
        with writing(self.engine) as connection:
            _replace(connection, drift_tallies, ("version", "date"), rows)

    def advance(self, version: str, progress: DriftProgress, events: Sequence[Event]) -> None:
        """Note how far the counts go and what the alarm knows by them, with what it tells."""
        row = {
            "version": self._key(version),
            "prediction_seq": progress.prediction_seq,
            "updated_at": progress.updated_at,
            "alarm": orjson.dumps(progress.alarm).decode(),
        }
        with writing(self.engine) as connection:
            _replace(connection, drift_progress, ("version",), [row])
            for event in events:
                insert_event(connection, replace(event, model=self.line))

    def forget_others(self, versions: Collection[str]) -> None:
        """Delete what belongs to none of these versions of the line."""
        key = drift_progress.c.version
        with reading(self.engine) as connection:
            known = set(connection.scalars(select(key).where(is_of_line(key, self.line))))
        if gone := known - set(map(self._key, versions)):
            with writing(self.engine) as connection:
                for table in (drift_tallies, drift_progress):
                    connection.execute(delete(table).where(table.c.version.in_(gone)))

    def _key(self, version: str) -> str:
        return version_key(self.line, version)


def _replace(
    connection: Connection, table: Table, keys: tuple[str, ...], rows: Sequence[dict[str, Any]]
) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    insert = dialect.insert(table)
    others = {column.name: column for column in insert.excluded if column.name not in keys}
    if rows:
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=others), rows)
