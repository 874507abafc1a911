"""The rows of recorded bars in the database: segments of a series, written once and then merged.

A payload is little-endian: the starts (int64, microseconds since 1970), open, high, low, close and
volume (float64), when each bar was known (int64), and where that is not one moment for all of them
when each was seen (int64), column by column.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection, delete, insert, select

from mlengine.core.bars.bars import VALUES
from mlengine.core.bars.recorded import NO_REVISIONS, KnownBars, Revisions
from mlengine.stores.database.many_rows import SelectByKey, execute_many
from mlengine.stores.database.tables import bar_segments

log = logging.getLogger(__name__)

# The newest window comes from one segment most of the time, and a merge writes a megabyte at most.
SEGMENT_ROWS = 16_384
_COLUMNS = 2 + len(VALUES)

RevisionsReader = Callable[[Revisions], KnownBars]


class _Place(NamedTuple):
    """Where a segment begins and ends."""

    id: int
    series_id: int
    first_start: int
    last_start: int
    rows: int


class _Payload(NamedTuple):
    id: int
    series_id: int
    rows: int
    seen_at: int
    payload: bytes


READ_PLACES = SelectByKey(select(*bar_segments.c[_Place._fields]), bar_segments.c.series_id)
READ_PAYLOADS = SelectByKey(select(*bar_segments.c[_Payload._fields]), bar_segments.c.id)
_SEGMENT = ("series_id", "first_start", "last_start", "rows", "seen_at", "payload")
_INSERT_SEGMENTS = insert(bar_segments)


def read_newest(
    connection: Connection, views: Mapping[int, RevisionsReader], *, bars: int
) -> dict[int, tuple[KnownBars, bool]]:
    """Of each series the view on as few of its newest segments as have `bars` bars (0: all).

    And whether those are all segments.
    """
    results: dict[int, tuple[KnownBars, bool]] = {}
    unread, parts = _places(connection, views), {series: list[Revisions]() for series in views}
    while pending := [series for series in views if series not in results]:
        chosen = []
        for series in pending:
            count = _count(unread[series], bars)
            chosen += unread[series][:count]
            del unread[series][:count]
        for series, part in _payloads(connection, chosen):
            parts[series].append(part)
        for series in pending:
            view = views[series](_complete(parts[series], unread[series]))
            if not unread[series] or 0 < bars <= view.arrays.rows:
                results[series] = view, not unread[series]
    return results


def read_from(connection: Connection, starts: Mapping[int, int]) -> dict[int, Revisions]:
    """All rows of each series whose bars begin at its start or later."""
    places = _places(connection, starts)
    chosen = [
        each
        for series, start in starts.items()
        for each in places[series]
        if each.last_start >= start
    ]
    parts = {series: list[Revisions]() for series in starts}
    for series, part in _payloads(connection, chosen):
        parts[series].append(part)
    return {series: _joined(parts[series]).from_start(start) for series, start in starts.items()}


def write_rows(connection: Connection, rows: Mapping[int, Revisions]) -> None:
    """Add the rows, of which there must be some, as segments of their series."""
    segments = [segment for series, each in rows.items() for segment in _segments(series, each)]
    execute_many(connection, _INSERT_SEGMENTS, _SEGMENT, segments)


def merge_small(connection: Connection, series: Collection[int]) -> None:
    """Put what is not in full segments into as few as there can be; nobody else may write."""
    small = {
        each: [place for place in places if place.rows < SEGMENT_ROWS]
        for each, places in _places(connection, series).items()
    }
    places = [place for each in small.values() if len(each) > 1 for place in each]
    if not places:
        return
    parts = {each: list[Revisions]() for each in series}
    for each, part in _payloads(connection, places):
        parts[each].append(part)
    ids = [place.id for place in places]
    connection.execute(delete(bar_segments).where(bar_segments.c.id.in_(ids)))
    write_rows(connection, {each: Revisions.joined(parts[each]) for each in series if parts[each]})


def _places(connection: Connection, series: Collection[int]) -> dict[int, list[_Place]]:
    """Where the segments of each series begin and end, the one with the newest bar first."""
    places: dict[int, list[_Place]] = {each: [] for each in series}
    for row in map(_Place._make, READ_PLACES.rows(connection, series)):
        places[row.series_id].append(row)
    for each in places.values():
        if len(each) > 1:
            each.sort(key=attrgetter("last_start", "id"), reverse=True)
    return places


def _count(places: Sequence[_Place], bars: int) -> int:
    """How many of these have `bars` rows together (0: all), with those that reach among them."""
    if not bars or not places:
        return len(places)
    ends = accumulate(each.rows for each in places)
    count = next((n for n, end in enumerate(ends, 1) if end >= bars), len(places))
    first = min(each.first_start for each in places[:count])
    return sum(each.last_start >= first for each in places)


def _complete(parts: Sequence[Revisions], unread: Sequence[_Place]) -> Revisions:
    """The rows of all bars of which no row is in a segment that is not read."""
    revisions = _joined(parts)
    return revisions.from_start(unread[0].last_start + 1) if unread else revisions


def _joined(parts: Sequence[Revisions]) -> Revisions:
    return Revisions.joined(parts) if parts else NO_REVISIONS


def _payloads(connection: Connection, places: Sequence[_Place]) -> Iterator[tuple[int, Revisions]]:
    """The rows of these segments; a damaged one is left out."""
    ids = [each.id for each in places]
    for row in map(_Payload._make, READ_PAYLOADS.rows(connection, ids)):
        if len(row.payload) in (8 * _COLUMNS * row.rows, 8 * (_COLUMNS + 1) * row.rows):
            yield row.series_id, _decode(row)
        else:
            log.warning("stored bars unreadable", extra={"segment": row.id, "rows": row.rows})


def _decode(row: _Payload) -> Revisions:
    columns = len(row.payload) // (8 * row.rows)
    moments = np.frombuffer(row.payload, "<i8").reshape(columns, row.rows)
    values = np.frombuffer(row.payload, "<f8").reshape(columns, row.rows)[1 : _COLUMNS - 1]
    seen_at = moments[_COLUMNS] if columns > _COLUMNS else np.full(row.rows, row.seen_at)
    return Revisions(moments[0], values, moments[_COLUMNS - 1], seen_at)


def _segments(series: int, rows: Revisions) -> Iterator[tuple[object, ...]]:
    for first in range(0, rows.rows, SEGMENT_ROWS):
        part = rows.slice(first, first + SEGMENT_ROWS)
        columns, seen_at = [part.starts, part.values, part.known_at], int(part.seen_at.max())
        if part.seen_at.min() < seen_at:
            columns.append(part.seen_at)
        payload = b"".join(column.tobytes() for column in columns)
        yield series, int(part.starts[0]), int(part.starts[-1]), part.rows, seen_at, payload
