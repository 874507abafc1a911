"""Rows of the audit as the database takes them: into SQLite past what SQLAlchemy does for each."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from mlengine.stores.audit_entries import COLUMNS, Values
from mlengine.stores.tables import Moment, in_microseconds, predictions

Stored = tuple[object, ...]

_NUMBERED = (*COLUMNS, "vector_id")
_MOMENTS = [i for i, name in enumerate(COLUMNS) if isinstance(predictions.c[name].type, Moment)]
_INTO = f"INSERT INTO predictions ({', '.join(_NUMBERED)}) VALUES "  # noqa: S608 - no input
_PLACES = f"({', '.join('?' * len(_NUMBERED))})"


def insert_rows(connection: Connection, rows: Sequence[tuple[Values, int | None]]) -> None:
    """Write rows, each with the id of its vector, in this order."""
    if connection.dialect.name == "sqlite":
        numbered = [stored(values, vector_id) for values, vector_id in rows]
        connection.exec_driver_sql(_INTO + _PLACES, numbered)
        return
    said = [dict(zip(_NUMBERED, (*values, number), strict=True)) for values, number in rows]
    connection.execute(predictions.insert(), said)


def stored(values: Values, vector_id: int | None) -> Stored:
    """A row as SQLite keeps it."""
    row = [*values, vector_id]
    for i in _MOMENTS:
        row[i] = in_microseconds(row[i])  # type: ignore[arg-type]
    return tuple(row)


def statement(rows: Sequence[Stored]) -> tuple[str, list[object]]:
    """One INSERT of all rows for SQLite's driver, and its values."""
    places = ", ".join([_PLACES] * len(rows))
    return _INTO + places, [value for row in rows for value in row]
