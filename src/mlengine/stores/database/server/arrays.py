"""Many rows as one array of PostgreSQL a column: each is one parameter of one statement.

The driver writes arrays, too, in twice the time, and those of bytes in two hundred times.
"""

from collections.abc import Iterator, Mapping, Sequence
from operator import add
from typing import Any, cast

from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    Insert,
    Update,
    bindparam,
    func,
    select,
)
from sqlalchemy.sql.visitors import replacement_traverse
from sqlalchemy.types import TypeEngine

# Neither a statement that takes long, nor one that is too large for the server.
_MOST_ROWS, _MOST_BYTES = 1_000, 16_000_000
# https://www.postgresql.org/docs/current/arrays.html, "Array Input and Output Syntax"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\""})


def array_parameter(name: str, kind: TypeEngine[Any]) -> BindParameter[Any]:
    """A parameter for an `array_text` of values of this type."""
    return bindparam(name, type_=ARRAY(kind))


def array_text(values: Sequence[object]) -> str:
    """The text of an array; floats in the shortest form that gives every bit back."""
    kinds = {*map(type, values)}
    if kinds == {str}:  # most are those of many rows
        written = {each: _element(each) for each in {*values}}
        return f"{{{','.join([written[each] for each in values])}}}"
    return f"{{{','.join(map(repr if kinds <= {int, float} else _element, values))}}}"


def _element(value: object) -> str:
    """A string, a number, a truth, bytes, or nothing."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return f'"{value if value.isalnum() else value.translate(_ESCAPES)}"'
    if isinstance(value, bytes):
        return rf'"\\x{value.hex()}"'
    if isinstance(value, bool):
        return "t" if value else "f"
    return float.__repr__(value) if isinstance(value, float) else repr(value)


def with_arrays(
    statement: Insert | Update, types: Mapping[str, TypeEngine[Any]]
) -> Insert | Update:
    """The statement, of one row of these values, for arrays of them; rows keep their order."""
    arrays = [array_parameter(name, kind) for name, kind in types.items()]
    table = func.unnest(*arrays).table_valued(*types, with_ordinality="given_place")
    given = table.render_derived("given")
    if isinstance(statement, Insert):
        values = select(*(given.c[name] for name in types)).order_by(given.c.given_place)
        return statement.from_select(list(types), values)

    def column_of(element: object, **_: object) -> ColumnElement[Any] | None:
        is_given = isinstance(element, BindParameter) and element.key in types
        return given.c[element.key] if is_given else None  # type: ignore[attr-defined]

    return cast("Update", replacement_traverse(statement, {}, column_of))


def blocks(columns: Sequence[Sequence[object]]) -> Iterator[list[Sequence[object]]]:
    """The rows of these columns, some at a time: as many as one statement takes at once."""
    sizes = [0] * len(columns[0])
    for column in columns:
        if any(isinstance(each, bytes) for each in column):
            sizes = list(map(add, sizes, map(_bytes, column)))
    first = size = 0
    for place, each in enumerate(sizes):
        if place - first == _MOST_ROWS or (size + each > _MOST_BYTES and place > first):
            yield [column[first:place] for column in columns]
            first, size = place, 0
        size += each
    yield [column[first:] for column in columns]


def _bytes(value: object) -> int:
    return len(value) if isinstance(value, bytes) else 0
