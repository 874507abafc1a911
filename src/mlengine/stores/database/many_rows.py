"""One statement for many rows, on SQLite past what SQLAlchemy does for each of them."""

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Insert,
    Select,
    Text,
    Update,
    bindparam,
    func,
    select,
)

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
    sql, places, moments = compile_many(statement, names, connection.dialect)
    values = [[row[place] for place in places] for row in rows]
    for i in moments:
        for row in values:
            row[i] = to_microseconds(row[i])
    connection.exec_driver_sql(sql, [tuple(row) for row in values])


@lru_cache(maxsize=64)
def compile_many(
    statement: Insert | Update, names: tuple[str, ...], dialect: Dialect
) -> tuple[str, list[int], list[int]]:
    """Its text, which of the `names` each parameter is, and which parameters are moments."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    order = list(compiled.positiontup or ())
    types = [compiled.binds[name].type for name in order]
    moments = [i for i, kind in enumerate(types) if isinstance(kind, UtcDateTime)]
    return str(compiled), [names.index(name) for name in order], moments


class SelectByKey:
    """A SELECT of the rows whose `column` has one of many values; it lives as long as the process.

    To SQLite the values are one parameter: SQLAlchemy would write the statement anew with one for
    each of them.
    """

    def __init__(self, statement: Select[Any], column: Column[Any]) -> None:
        each = func.json_each(bindparam("keys", type_=Text)).table_valued("value")
        self._by_list = statement.where(column.in_(select(each.c.value)))
        self._by_parameters = statement.where(column.in_(bindparam("keys", expanding=True)))
        columns = enumerate(statement.selected_columns)
        self._moments = [i for i, each in columns if isinstance(each.type, UtcDateTime)]

    def rows(
        self, connection: Connection, keys: Collection[str] | Collection[int], **parameters: object
    ) -> Iterator[Sequence[Any]]:
        """The rows of these keys; `parameters` are those of the statement, none of them a moment.

        Raises DamagedRow.
        """
        if connection.dialect.name != "sqlite":
            values = {"keys": list(keys), **parameters}
            yield from connection.execute(self._by_parameters, values)
            return
        sql, order = self.compile(connection.dialect)
        values = {"keys": orjson.dumps(list(keys)).decode(), **parameters}
        result = connection.exec_driver_sql(sql, tuple(values[name] for name in order))
        read = UtcDateTime().process_result_value
        for row in result.all():
            converted = list(row)
            for i in self._moments:
                converted[i] = read(converted[i], connection.dialect)
            yield converted

    @lru_cache(maxsize=8)  # noqa: B019 - it lives as long as the process
    def compile(self, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
        """Its text for SQLite, and the names of its parameters."""
        compiled = self._by_list.compile(dialect=dialect)
        return str(compiled), tuple(compiled.positiontup or ())
