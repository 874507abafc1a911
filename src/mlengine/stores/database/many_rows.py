"""One statement for many rows, past what SQLAlchemy does for each of them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache, partial
from itertools import chain
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Insert,
    Select,
    Text,
    Update,
    any_,
    bindparam,
    func,
    select,
)

from mlengine.stores.database.server.arrays import (
    array_parameter,
    array_text,
    blocks,
    with_arrays,
)
from mlengine.stores.database.tables import UtcDateTime, to_microseconds

Rows = Sequence[Sequence[Any]]
# In one INSERT of SQLite, which takes 32,766 at most: to read a longer one first takes too long.
_VALUES_A_STATEMENT = 2_500


def execute_many(
    connection: Connection, statement: Insert | Update, names: tuple[str, ...], rows: Rows
) -> int:
    """Execute the statement, which lives as long as the process, with each row's values.

    `names` are those of the columns, or of the parameters, that the values are for. Returns how
    many rows were written.
    """
    if not rows:
        return 0
    compiled = compile_many(statement, names, connection.dialect)
    columns = list(zip(*rows, strict=True))
    _convert(columns, compiled.moments, to_microseconds)
    if connection.dialect.name == "sqlite":
        values = list(zip(*(columns[i] for i in compiled.places), strict=True))
        if isinstance(statement, Insert):
            return _insert_blocks(connection, compiled.sql, values)
        return connection.exec_driver_sql(compiled.sql, values).rowcount
    return sum(
        connection.exec_driver_sql(
            compiled.sql, dict(zip(names, map(array_text, block), strict=True))
        ).rowcount
        for block in blocks(columns)
    )


def _insert_blocks(connection: Connection, sql: str, rows: Rows) -> int:
    """Into SQLite, whose other writers wait meanwhile: few statements, as its row has many values.

    Each lets the interpreter's lock go, and waits to get it back while other threads compute.
    """
    written, size = 0, max(1, _VALUES_A_STATEMENT // len(rows[0]))
    for first in range(0, len(rows), size):
        block = rows[first : first + size]
        values = tuple(chain.from_iterable(block))
        written += connection.exec_driver_sql(insert_of_rows(sql, len(block)), values).rowcount
    return written


@lru_cache(maxsize=128)
def insert_of_rows(sql: str, rows: int) -> str:
    """The text of an INSERT of one row into SQLite, for so many.

    >>> insert_of_rows("INSERT INTO t (a, b) VALUES (?, ?) ON CONFLICT DO NOTHING", 2)
    'INSERT INTO t (a, b) VALUES (?, ?), (?, ?) ON CONFLICT DO NOTHING'
    """
    head, values, row_and_rest = sql.partition(" VALUES ")
    row, end, rest = row_and_rest.partition(")")
    return head + values + ", ".join([row + end] * rows) + rest


class CompiledMany(NamedTuple):
    """Its text, which of the names each place takes, and which names are of moments."""

    sql: str
    places: list[int]
    moments: list[int]


@lru_cache(maxsize=64)
def compile_many(
    statement: Insert | Update, names: tuple[str, ...], dialect: Dialect
) -> CompiledMany:
    """The statement for one row of SQLite, which is executed for each, or for arrays of rows."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    types = {name: compiled.binds[name].type for name in names}
    moments = [i for i, each in enumerate(types.values()) if isinstance(each, UtcDateTime)]
    if dialect.name != "sqlite":
        return CompiledMany(
            str(with_arrays(statement, types).compile(dialect=dialect)), [], moments
        )
    places = [names.index(name) for name in compiled.positiontup or ()]
    return CompiledMany(str(compiled), places, moments)


class SelectByKey:
    """A SELECT of the rows whose `column` has one of many values; it lives as long as the process.

    The values are one parameter: SQLAlchemy would write the statement anew with one for each of
    them.
    """

    def __init__(self, statement: Select[Any], column: Column[Any]) -> None:
        each = func.json_each(bindparam("keys", type_=Text)).table_valued("value")
        self._by_list = statement.where(column.in_(select(each.c.value)))
        self._by_array = statement.where(column == any_(array_parameter("keys", column.type)))
        columns = enumerate(statement.selected_columns)
        self._moments = [i for i, each in columns if isinstance(each.type, UtcDateTime)]

    def rows(
        self, connection: Connection, keys: Collection[str] | Collection[int], **parameters: object
    ) -> Sequence[Sequence[Any]]:
        """The rows of these keys; `parameters` are those of the statement, none of them a moment.

        Raises DamagedRow.
        """
        sql, order = self.compile(connection.dialect)
        if connection.dialect.name == "sqlite":
            values = {"keys": orjson.dumps(list(keys)).decode(), **parameters}
            rows = connection.exec_driver_sql(sql, tuple(values[name] for name in order)).all()
        else:
            values = {"keys": array_text(list(keys)), **parameters}
            rows = connection.exec_driver_sql(sql, values).all()
        if not self._moments or not rows:
            return rows
        columns = list(zip(*rows, strict=True))
        read = partial(UtcDateTime().process_result_value, dialect=connection.dialect)
        _convert(columns, self._moments, read)
        return list(zip(*columns, strict=True))

    @lru_cache(maxsize=8)  # noqa: B019 - it lives as long as the process
    def compile(self, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
        """Its text, and the names of its parameters where they have an order."""
        statement = self._by_list if dialect.name == "sqlite" else self._by_array
        compiled = statement.compile(dialect=dialect)
        return str(compiled), tuple(compiled.positiontup or ())


def _convert(
    columns: list[tuple[Any, ...]], places: Iterable[int], convert: Callable[[Any], object]
) -> None:
    """Convert the columns at the places: most values are those of many rows."""
    converted: dict[Any, object] = {}
    for i in places:
        converted |= {each: convert(each) for each in {*columns[i]} - converted.keys()}
        columns[i] = tuple(map(converted.__getitem__, columns[i]))


# What is executed with many rows: the statement, and the names of the values.
Writing = tuple[Insert | Update, tuple[str, ...]]


def compile_ahead(connection: Connection, statements: Iterable[SelectByKey | Writing]) -> None:
    """Write statements out before they are needed: that takes longer than to execute one."""
    for each in statements:
        if isinstance(each, SelectByKey):
            each.compile(connection.dialect)
        else:
            compile_many(*each, connection.dialect)
