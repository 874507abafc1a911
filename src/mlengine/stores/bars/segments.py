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
from sqlalchemy import Connection, case, delete, func, insert, literal_column, select

from mlengine.core.arrays import Moments
from mlengine.core.bars.bars import VALUES
from mlengine.core.bars.recorded import NO_REVISIONS, KnownBars, Revisions
from mlengine.stores.database.many_rows import SelectByKey, Writing, execute_many
from mlengine.stores.database.tables import bar_segments

log = logging.getLogger(__name__)

# The newest window comes from one segment most of the time, and a merge writes a megabyte at most.
SEGMENT_ROWS = 16_384
_COLUMNS = 2 + len(VALUES)
# So few rows are read at once with where they stand.
_SMALL_ROWS = 128
_INT, _FLOAT = np.dtype("<i8"), np.dtype("<f8")
_ALWAYS = np.iinfo(np.int64).max

# What is known of each series by its rows, in their order.
PanelReader = Callable[[Mapping[int, Revisions]], Sequence[KnownBars]]


class _Place(NamedTuple):
    """Where a segment begins and ends, and all of a small one."""

    id: int
    series_id: int
    first_start: int
    last_start: int
    rows: int
    seen_at: int
    payload: bytes | None


_IS_SMALL = bar_segments.c.rows <= literal_column(str(_SMALL_ROWS))
_SMALL_PAYLOAD = case((_IS_SMALL, bar_segments.c.payload))
READ_PLACES = SelectByKey(
    select(*bar_segments.c[_Place._fields[:-1]], _SMALL_PAYLOAD), bar_segments.c.series_id
)
READ_PAYLOADS = SelectByKey(select(*bar_segments.c["id", "payload"]), bar_segments.c.id)
_SEGMENT = ("series_id", "first_start", "last_start", "rows", "seen_at", "payload")
_INSERT_SEGMENTS = insert(bar_segments)


def segment_statements() -> list[SelectByKey | Writing]:
    """What is executed here, to be compiled ahead."""
    return [READ_PLACES, READ_PAYLOADS, (_INSERT_SEGMENTS, _SEGMENT)]


def read_newest(
    connection: Connection, series: Collection[int], view: PanelReader, *, bars: int
) -> dict[int, tuple[KnownBars, bool]]:
    """Of each series the view on as few of its newest segments as have `bars` bars (0: all).

    And whether those are all segments.
    """
    results: dict[int, tuple[KnownBars, bool]] = {}
    unread, parts = _places(connection, series), {each: list[Revisions]() for each in series}
    while pending := [each for each in series if each not in results]:
        chosen = []
        for each in pending:
            count = _count(unread[each], bars)
            chosen += unread[each][:count]
            del unread[each][:count]
        for each, part in _payloads(connection, chosen):
            parts[each].append(part)
        rows = {each: _complete(parts[each], unread[each]) for each in pending}
        for each, known in zip(pending, view(rows), strict=True):
            if not unread[each] or 0 < bars <= known.arrays.rows:
                results[each] = known, not unread[each]
    return results


def read_from(connection: Connection, starts: Mapping[int, int]) -> dict[int, Revisions]:
    """All rows of each series whose bars begin at its start or later."""
    rows = read_between(connection, {each: (start, _ALWAYS) for each, start in starts.items()})
    return {series: each.from_start(starts[series]) for series, each in rows.items()}


def read_between(
    connection: Connection, spans: Mapping[int, tuple[int, int]]
) -> dict[int, Revisions]:
    """All rows of each series whose bars begin in its span, both ends included, and some more."""
    places = _places(connection, spans)
    chosen = [
        each
        for series, (first, last) in spans.items()
        for each in places[series]
        if each.last_start >= first and each.first_start <= last
    ]
    parts = {series: list[Revisions]() for series in spans}
    for series, part in _payloads(connection, chosen):
        parts[series].append(part)
    return {series: _joined(each) for series, each in parts.items()}


def read_newest_seen(connection: Connection, series: Collection[int]) -> dict[int, int]:
    """When the newest row of each series was seen; without those that have none."""
    columns = bar_segments.c
    query = (
        select(columns.series_id, func.max(columns.seen_at))
        .where(columns.series_id.in_(sorted(series)))
        .group_by(columns.series_id)
    )
    return {number: seen_at for number, seen_at in connection.execute(query)}  # noqa: C416


def write_rows(connection: Connection, rows: Mapping[int, Revisions]) -> None:
    """Add the rows, of which there must be some, as segments of their series."""
    segments = [
        (series, each.slice(first, first + SEGMENT_ROWS) if each.rows > SEGMENT_ROWS else each)
        for series, each in rows.items()
        for first in range(0, each.rows, SEGMENT_ROWS)
    ]
    execute_many(connection, _INSERT_SEGMENTS, _SEGMENT, _encode(segments))


def merge_small(connection: Connection, series: Collection[int]) -> None:
    """Put small segments together, of each series those of about one size; nobody else may write.

    A row is written anew only as often as its segment has doubled.
    """
    merged = map(_of_about_one_size, _places(connection, series).values())
    places = [place for each in merged if len(each) > 1 for place in each]
    if not places:
        return
    parts = {each: list[Revisions]() for each in series}
    for each, part in _payloads(connection, places):
        parts[each].append(part)
    ids = [place.id for place in places]
    connection.execute(delete(bar_segments).where(bar_segments.c.id.in_(ids)))
    write_rows(connection, {each: Revisions.joined(parts[each]) for each in series if parts[each]})


def _of_about_one_size(places: Sequence[_Place]) -> list[_Place]:
    """The smallest, each with at most twice as many rows as all before it, up to full ones."""
    chosen: list[_Place] = []
    rows = 0
    for place in sorted(places, key=attrgetter("rows")):
        if place.rows >= SEGMENT_ROWS or (chosen and place.rows > 2 * rows):
            break
        chosen.append(place)
        rows += place.rows
    return chosen


def _places(connection: Connection, series: Collection[int]) -> dict[int, list[_Place]]:
    """Where the segments of each series begin and end, the one with the newest bar first."""
    places: dict[int, list[_Place]] = {each: [] for each in series}
    for row in READ_PLACES.rows(connection, series):
        place = _Place._make(row)
        places[place.series_id].append(place)
    for each in places.values():
        if len(each) > 1:
            each.sort(key=attrgetter("last_start", "id"), reverse=True)
    return places


def _count(places: Sequence[_Place], bars: int) -> int:
    """How many of these have `bars` rows together (0: all), with those that reach among them."""
    if not bars or len(places) < 2:
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
    large = [each.id for each in places if each.payload is None]
    read = READ_PAYLOADS.rows(connection, large) if large else ()
    payloads: dict[int, bytes] = {number: payload for number, payload in read}  # noqa: C416
    seen = dict[tuple[int, int], Moments]()
    for place in places:
        payload, rows = place.payload or payloads.get(place.id, b""), place.rows
        if len(payload) in (8 * _COLUMNS * rows, 8 * (_COLUMNS + 1) * rows):
            yield place.series_id, _decode(payload, place, seen)
        else:
            log.warning("stored bars unreadable", extra={"segment": place.id, "rows": rows})


def _decode(payload: bytes, place: _Place, seen: dict[tuple[int, int], Moments]) -> Revisions:
    """The rows of a segment; `seen` has what others of as many rows and one moment share."""
    rows, key = place.rows, (place.seen_at, place.rows)
    columns = len(payload) // (8 * rows)
    moments = np.frombuffer(payload, _INT).reshape(columns, rows)
    values = moments[1 : _COLUMNS - 1].view(_FLOAT)
    if columns > _COLUMNS:
        return Revisions(moments[0], values, moments[_COLUMNS - 1], moments[_COLUMNS])
    if key not in seen:
        seen[key] = np.repeat(place.seen_at, rows)
    return Revisions(moments[0], values, moments[_COLUMNS - 1], seen[key])


def _encode(segments: Sequence[tuple[int, Revisions]]) -> list[tuple[object, ...]]:
    """The rows of these segments, one look at when the bars of all were seen."""
    rows = [part.rows for _, part in segments]
    seen_at = np.concatenate([part.seen_at for _, part in segments])
    firsts = np.cumsum([0, *rows[:-1]])
    newest = np.maximum.reduceat(seen_at, firsts).tolist()
    oldest = np.minimum.reduceat(seen_at, firsts).tolist()
    encoded: list[tuple[object, ...]] = []
    for (series, part), first_seen, last_seen in zip(segments, oldest, newest, strict=True):
        starts, moments = part.starts, part.known_at.tobytes()
        if first_seen < last_seen:
            moments += part.seen_at.tobytes()
        payload = starts.tobytes() + part.values.tobytes() + moments
        edges = int(starts[0]), int(starts[-1])
        encoded.append((series, *edges, len(starts), last_seen, payload))
    return encoded
