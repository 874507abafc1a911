"""Pages of a table, newest first."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Engine, Row, Select

from mlengine.core.pagination import Page, decode_cursor, encode_cursor
from mlengine.core.serialization import has_declared_types
from mlengine.errors import DamagedRow
from mlengine.stores.database.engine import reading

T = TypeVar("T")
Elsewhere = Callable[[Select[Any], int | None, int | None], Sequence[Row[Any]]]


def require_declared_types(record: T) -> T:
    """What was made of a row; raises DamagedRow where a value is not of its declared type."""
    if not has_declared_types(record):
        raise DamagedRow
    return record


def read_page(
    engine: Engine,
    query: Select[Any],
    parse: Callable[[Row[Any]], T],
    *,
    seq: ColumnElement[int],
    limit: int,
    cursor: str | None,
    elsewhere: Elsewhere | None = None,
) -> Page[T]:
    """At most `limit` rows of `query` with the highest `seq` below that of the cursor.

    `elsewhere` has further rows of the query: it is told the highest number that is wanted, and the
    lowest where the table has enough. Raises InvalidRequest on a bad cursor, and
    DatabaseUnavailable.
    """
    query = query.order_by(seq.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(seq < decode_cursor(cursor))
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    if elsewhere is not None:
        highest = None if cursor is None else decode_cursor(cursor) - 1
        lowest = rows[-1].seq if len(rows) > limit else None
        by_seq = {row.seq: row for row in (*rows, *elsewhere(query, lowest, highest))}
        rows = [by_seq[each] for each in sorted(by_seq, reverse=True)[: limit + 1]]
    more = encode_cursor(rows[limit - 1].seq) if len(rows) > limit else None
    return Page(tuple(parse(row) for row in rows[:limit]), more)
