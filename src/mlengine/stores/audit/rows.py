"""Rows of the audit as the database takes them: into SQLite past what SQLAlchemy does for each."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, insert

from mlengine.stores.audit.entries import COLUMNS, Values
from mlengine.stores.database.engine import insert_or_ignore
from mlengine.stores.database.many_rows import Writing, execute_many, insert_of_rows
from mlengine.stores.database.tables import UtcDateTime, predictions, to_microseconds

_COLUMNS = (*COLUMNS, "vector_id")
_MOMENTS = [
    i for i, name in enumerate(COLUMNS) if isinstance(predictions.c[name].type, UtcDateTime)
]
_INSERT_ROW = insert(predictions)
COPY_ROWS = f"COPY predictions ({', '.join(_COLUMNS)}) FROM STDIN"
_PLACEHOLDERS = ", ".join("?" * len(_COLUMNS))
_INSERT = f"INSERT INTO predictions ({', '.join(_COLUMNS)}) VALUES ({_PLACEHOLDERS})"  # noqa: S608 - no input


ROW_STATEMENT: Writing = (_INSERT_ROW, _COLUMNS)


def insert_rows(connection: Connection, rows: Sequence[tuple[Values, int | None]]) -> None:
    """Write rows, each with the id of its vector, in this order.

    On a server a commit that was given up may have written them already: those stay as they are.
    """
    stored = [(*values, vector_id) for values, vector_id in rows]
    if connection.dialect.name == "sqlite":
        execute_many(connection, *ROW_STATEMENT, stored)
    else:
        execute_many(connection, insert_or_ignore(connection, predictions), _COLUMNS, stored)


def restore_rows(
    connection: Connection, rows: Sequence[tuple[Mapping[str, object], int | None]]
) -> None:
    """As `insert_rows`, of rows by name: those that are there already stay as they are."""
    values = [(*(columns.get(name) for name in COLUMNS), vector_id) for columns, vector_id in rows]
    execute_many(connection, insert_or_ignore(connection, predictions), _COLUMNS, values)


def stored_values(values: Values) -> list[object]:
    """A row as a database keeps it, but for the id of its vector."""
    (row,) = stored_rows([values])
    return row


def stored_rows(rows: Iterable[Values]) -> list[list[object]]:
    """`stored_values` of each; most moments are those of many rows."""
    kept, stored = list(map(list, rows)), dict[object, object]()
    for row in kept:
        for i in _MOMENTS:
            moment = row[i]
            if moment not in stored:
                stored[moment] = to_microseconds(moment)  # type: ignore[arg-type]
            row[i] = stored[moment]
    return kept


def insert_statement(rows: Sequence[Sequence[object]]) -> tuple[str, list[object]]:
    """For SQLite: one INSERT of all rows, each with the id of its vector last, and its values."""
    return insert_of_rows(_INSERT, len(rows)), [value for row in rows for value in row]
