"""Panels that workers write: who wants which, and the files, in the database for every host.

Loads no Polars: the worker process looks here whether there is something to write.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    delete,
    insert,
    or_,
    select,
    update,
)

from mlengine.core.signals.signal import SignalExport, SignalQuery
from mlengine.core.timestamps import parse_rfc3339, rfc3339
from mlengine.errors import ExportNotFound
from mlengine.stores.database.engine import lock_tables, parse_column, reading, writing
from mlengine.stores.database.tables import signal_export_parts, signal_exports

_EXPORT, _PART = signal_exports.c, signal_export_parts.c
_FIELDS = tuple(each.name for each in fields(SignalExport))
_MOMENTS = ("since", "until", "as_of")
_PART_BYTES = 4_000_000
_MOST_ATTEMPTS = 3


@dataclass(frozen=True)
class ExportStore:
    """The tables of exports; every method raises DatabaseUnavailable."""

    engine: Engine

    def request(self, export: SignalExport) -> SignalExport:
        """Ask for a file; one that is asked for already, and not written yet, is that one.

        Those that have expired are removed.
        """
        row = {**vars(export), "query": _text(export.query)}
        same = and_(
            _EXPORT.model == export.model,
            _EXPORT.query == row["query"],
            _EXPORT.format == export.format,
            _EXPORT.state.in_(("queued", "running")),
        )
        with writing(self.engine) as connection:
            lock_tables(connection, signal_exports)
            _remove(connection, _EXPORT.expires_at <= export.requested_at)
            there = connection.execute(select(signal_exports).where(same)).first()
            if there is not None:
                return _export(there)
            connection.execute(insert(signal_exports).values(row))
        return export

    def get(self, export_id: str, *, now: datetime) -> SignalExport:
        """Raises ExportNotFound, also for one that has expired."""
        query = select(signal_exports).where(_EXPORT.id == export_id, _EXPORT.expires_at > now)
        with reading(self.engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            raise ExportNotFound(export_id)
        return _export(row)

    def any_due(self, *, now: datetime) -> bool:
        """Whether one is to be written that nobody writes."""
        with reading(self.engine) as connection:
            return connection.execute(select(_EXPORT.id).where(_is_due(now))).first() is not None

    def claim(self, holder: str, *, now: datetime, lease_seconds: float) -> SignalExport | None:
        """Hold the oldest that is due; None where none is. One that ended workers is failed."""
        if not self.any_due(now=now):
            return None
        with writing(self.engine) as connection:
            due = select(signal_exports).where(_is_due(now)).order_by(_EXPORT.requested_at)
            row = connection.execute(due.limit(1).with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            change = update(signal_exports).where(_EXPORT.id == row.id)
            if row.attempts >= _MOST_ATTEMPTS:
                gone = {"state": "failed", "ended_at": now, "error": "its writers were ended"}
                connection.execute(change.values(gone))
                return None
            connection.execute(delete(signal_export_parts).where(_PART.export_id == row.id))
            held = {
                "state": "running",
                "holder": holder,
                "lease_until": now + timedelta(seconds=lease_seconds),
                "attempts": row.attempts + 1,
            }
            connection.execute(change.values(held))
        return replace(_export(row), state="running")

    def renew(self, export_id: str, holder: str, *, now: datetime, lease_seconds: float) -> bool:
        """Whether its holder still has it, and has it for so many seconds more."""
        mine = and_(_EXPORT.id == export_id, _EXPORT.holder == holder, _EXPORT.state == "running")
        until = now + timedelta(seconds=lease_seconds)
        with writing(self.engine) as connection:
            change = update(signal_exports).where(mine).values(lease_until=until)
            return bool(connection.execute(change).rowcount)

    def write(
        self, export_id: str, holder: str, content: bytes, *, rows: int, at: datetime
    ) -> None:
        """Keep the file, part by part, so that nobody waits long for the database."""
        for number, first in enumerate(range(0, len(content), _PART_BYTES)):
            part = {"export_id": export_id, "number": number}
            part["content"] = content[first : first + _PART_BYTES]
            with writing(self.engine) as connection:
                if not self._is_held(connection, export_id, holder):
                    return
                connection.execute(insert(signal_export_parts).values(part))
        done = {"state": "ready", "ended_at": at, "rows": rows, "bytes": len(content)}
        self._end(export_id, holder, done)

    def fail(self, export_id: str, holder: str, *, reason: str, at: datetime) -> None:
        """There will be no file."""
        self._end(export_id, holder, {"state": "failed", "ended_at": at, "error": reason})

    def open_file(self, export_id: str, *, now: datetime) -> tuple[SignalExport, Iterator[bytes]]:
        """A file and its content in parts; raises ExportNotFound where there is none."""
        export = self.get(export_id, now=now)
        if export.state != "ready":
            raise ExportNotFound(export_id, export.state)
        return export, self._parts(export_id)

    def _parts(self, export_id: str) -> Iterator[bytes]:
        number = 0
        while True:
            mine = and_(_PART.export_id == export_id, _PART.number == number)
            with reading(self.engine) as connection:
                content = connection.scalar(select(_PART.content).where(mine))
            if content is None:
                return
            yield content
            number += 1

    @staticmethod
    def _is_held(connection: Connection, export_id: str, holder: str) -> bool:
        held = and_(_EXPORT.id == export_id, _EXPORT.holder == holder)
        query = select(_EXPORT.id).where(held).with_for_update()
        return connection.execute(query).first() is not None

    def _end(self, export_id: str, holder: str, values: dict[str, object]) -> None:
        mine = update(signal_exports).where(_EXPORT.id == export_id, _EXPORT.holder == holder)
        with writing(self.engine) as connection:
            connection.execute(mine.values(values))


def _is_due(now: datetime) -> ColumnElement[bool]:
    is_left = and_(_EXPORT.state == "running", _EXPORT.lease_until <= now)
    return and_(or_(_EXPORT.state == "queued", is_left), _EXPORT.expires_at > now)


def _remove(connection: Connection, which: ColumnElement[bool]) -> None:
    ids = select(_EXPORT.id).where(which)
    connection.execute(delete(signal_export_parts).where(_PART.export_id.in_(ids)))
    connection.execute(delete(signal_exports).where(which))


def _text(query: SignalQuery) -> str:
    values = {
        name: rfc3339(value) if isinstance(value, datetime) else value
        for name, value in vars(query).items()
    }
    return orjson.dumps(values).decode()


def _export(row: Row[Any]) -> SignalExport:
    values = parse_column(row.query)
    moments = {name: parse_rfc3339(values[name]) for name in _MOMENTS if values[name]}
    query = SignalQuery(**{**values, **moments})
    return SignalExport(**{**{name: getattr(row, name) for name in _FIELDS}, "query": query})
