"""One statement for many rows, on SQLite past what SQLAlchemy does for each of them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Insert, Update

from mlengine.stores.database.tables import UtcDateTime, to_microseconds

Rows = Sequence[Sequence[Any]]


def execute_many(
    connection: Connection, statement: Insert | Update, names: tuple[str, ...], rows: Rows
) -> None:
    """Execute the statement, which lives as long as the process, with each row's values.

    `names` are those of the columns, or of the parameters, that the values are for.
    """
    if not rows:
        return
    if connection.dialect.name != "sqlite":
        columns = [dict(zip(names, row, strict=True)) for row in rows]
        connection.execute(statement, columns)
        return
    sql, places, moments = _compiled(statement, names, connection.dialect)
    values = [[row[place] for place in places] for row in rows]
    for i in moments:
        for row in values:
            row[i] = to_microseconds(row[i])
    connection.exec_driver_sql(sql, [tuple(row) for row in values])


@lru_cache(maxsize=64)
def _compiled(
    statement: Insert | Update, names: tuple[str, ...], dialect: Dialect
) -> tuple[str, list[int], list[int]]:
    """Its text, which of the `names` each parameter is, and which parameters are moments."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    order = list(compiled.positiontup or ())
    types = [compiled.binds[name].type for name in order]
    moments = [i for i, kind in enumerate(types) if isinstance(kind, UtcDateTime)]
    return str(compiled), [names.index(name) for name in order], moments
