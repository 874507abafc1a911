"""One statement for many rows, on SQLite past what SQLAlchemy does for each of them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache, partial
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
) -> int:
    """Execute the statement, which lives as long as the process, with each row's values.

    `names` are those of the columns, or of the parameters, that the values are for. Returns how
    many rows were written, as far as the driver counts them; SQLite's does.
    """
    if not rows:
        return 0
    if connection.dialect.name != "sqlite":
        named = [dict(zip(names, row, strict=True)) for row in rows]
        return connection.execute(statement, named).rowcount
    sql, places, moments = compile_many(statement, names, connection.dialect)
    columns = list(zip(*rows, strict=True))
    values = _converted([columns[i] for i in places], moments, to_microseconds)
    return connection.exec_driver_sql(sql, values).rowcount


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
    ) -> Sequence[Sequence[Any]]:
        """The rows of these keys; `parameters` are those of the statement, none of them a moment.

        Raises DamagedRow.
        """
        if connection.dialect.name != "sqlite":
            values = {"keys": list(keys), **parameters}
            return connection.execute(self._by_parameters, values).all()
        sql, order = self.compile(connection.dialect)
        values = {"keys": orjson.dumps(list(keys)).decode(), **parameters}
        rows = connection.exec_driver_sql(sql, tuple(values[name] for name in order)).all()
        if not self._moments or not rows:
            return rows
        read = partial(UtcDateTime().process_result_value, dialect=connection.dialect)
        return _converted(list(zip(*rows, strict=True)), self._moments, read)

    @lru_cache(maxsize=8)  # noqa: B019 - it lives as long as the process
    def compile(self, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
        """Its text for SQLite, and the names of its parameters."""
        compiled = self._by_list.compile(dialect=dialect)
        return str(compiled), tuple(compiled.positiontup or ())


def _converted(
    columns: list[tuple[Any, ...]], places: Iterable[int], convert: Callable[[Any], object]
) -> list[tuple[Any, ...]]:
    """Their rows, with the columns at the places converted: most values are those of many rows."""
    converted: dict[Any, object] = {}
    for i in places:
        converted |= {each: convert(each) for each in {*columns[i]} - converted.keys()}
        columns[i] = tuple(converted[each] for each in columns[i])
    return list(zip(*columns, strict=True))


# What is executed with many rows: the statement, and the names of the values.
Writing = tuple[Insert | Update, tuple[str, ...]]


def compile_ahead(connection: Connection, statements: Iterable[SelectByKey | Writing]) -> None:
    """Write statements out before they are needed: that takes longer than to execute one.

    Nothing happens where SQLAlchemy itself executes them.
    """
    if connection.dialect.name != "sqlite":
        return
    for each in statements:
        if isinstance(each, SelectByKey):
            each.compile(connection.dialect)
        else:
            compile_many(*each, connection.dialect)
