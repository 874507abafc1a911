"""Latencies by slot of time, of all workers of all machines: the table `request_latencies`.

A web worker has a row a minute, which it writes anew as the minute goes on. Rows of hours gone by
are put together, one an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson
from sqlalchemy import Connection, Engine, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from mlengine.core.arrays import Ints
from mlengine.core.telemetry.latency_slots import (
    RouteSketch,
    RouteSketches,
    StageSketch,
    merge,
    no_counts,
)
from mlengine.errors import DamagedRow
from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.tables import request_latencies

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
KEPT_FOR = timedelta(days=31)

_ALL_WRITERS = ""
# Others write for milliseconds; whoever waits here keeps nobody waiting.
_LOCK_SECONDS = 1.0


@dataclass(frozen=True)
class LatencySlot:
    """What one writer counted from `start` on, for a minute or an hour."""

    start: datetime
    writer: str
    sketches: RouteSketches


@dataclass(frozen=True)
class LatencyTable:
    """Every method raises DatabaseUnavailable."""

    engine: Engine

    def write(self, writer: str, minutes: Mapping[datetime, RouteSketches]) -> None:
        """The minutes of a writer, by their start, in place of what it wrote of them before."""
        with writing(self.engine, lock_timeout_seconds=_LOCK_SECONDS) as connection:
            for start, sketches in minutes.items():
                _replace(connection, start, MINUTE, writer, sketches)

    def read(self, *, since: datetime, until: datetime) -> list[LatencySlot]:
        """Every slot that has a part between the two; raises DamagedRow."""
        row = request_latencies.c
        ends_inside = (row.start > since - MINUTE) | (row.seconds > MINUTE.total_seconds())
        query = select(request_latencies).where(
            row.start > since - HOUR, row.start < until, ends_inside
        )
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        return [LatencySlot(r.start, r.writer, _parse(r.sketches)) for r in rows]

    def roll_up(self, *, before: datetime) -> int:
        """Put the minutes of each hour that began before `before` together; how many rows went.

        Any number of processes may do so at once: a row is taken by one of them.
        """
        row = request_latencies.c
        taken = delete(request_latencies).where(
            row.seconds == MINUTE.total_seconds(), row.start < before
        )
        with writing(self.engine, lock_timeout_seconds=_LOCK_SECONDS) as connection:
            minutes = connection.execute(taken.returning(row.start, row.sketches)).all()
            by_hour: dict[datetime, list[RouteSketches]] = {}
            for minute in minutes:
                by_hour.setdefault(_hour_of(minute.start), []).append(_parse(minute.sketches))
            for hour, parts in by_hour.items():
                earlier = _read_hour(connection, hour)
                _replace(connection, hour, HOUR, _ALL_WRITERS, merge([*earlier, *parts]))
            connection.execute(delete(request_latencies).where(row.start < before - KEPT_FOR))
        return len(minutes)

    def oldest_minute(self) -> datetime | None:
        """The start of the oldest row that is no hour yet."""
        row = request_latencies.c
        query = select(func.min(row.start)).where(row.seconds == MINUTE.total_seconds())
        with reading(self.engine) as connection:
            oldest: datetime | None = connection.scalar(query)
        return oldest


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _read_hour(connection: Connection, hour: datetime) -> list[RouteSketches]:
    row = request_latencies.c
    query = select(row.sketches).where(
        row.start == hour, row.seconds == HOUR.total_seconds(), row.writer == _ALL_WRITERS
    )
    return [_parse(sketches) for sketches in connection.scalars(query)]


def _replace(
    connection: Connection,
    start: datetime,
    length: timedelta,
    writer: str,
    sketches: RouteSketches,
) -> None:
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(request_latencies).values(
        start=start, seconds=int(length.total_seconds()), writer=writer, sketches=_dump(sketches)
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["start", "seconds", "writer"],
            set_={"sketches": statement.excluded.sketches},
        )
    )


def _dump(sketches: RouteSketches) -> str:
    document = {
        route: {
            "answers": [sketch.answers, sketch.errors, sketch.server_errors],
            "stages": {
                stage: [each.longest_ms, *_trimmed(each.counts)]
                for stage, each in sketch.stages.items()
            },
        }
        for route, sketch in sketches.items()
    }
    return orjson.dumps(document).decode()


def _parse(text: object) -> RouteSketches:
    try:
        document: dict[str, Any] = orjson.loads(text)  # type: ignore[arg-type]
        return {route: _route(each) for route, each in document.items()}
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        raise DamagedRow from None


def _route(document: Mapping[str, Any]) -> RouteSketch:
    answers, errors, server_errors = map(int, document["answers"])
    stages = {
        stage: StageSketch(_widened(first, counts), float(longest))
        for stage, (longest, first, counts) in document["stages"].items()
    }
    return RouteSketch(answers, errors, server_errors, stages)


def _trimmed(counts: Ints) -> tuple[int, list[int]]:
    """The first bucket that is not empty, and the counts from there to the last one."""
    reached = np.flatnonzero(counts)
    if not len(reached):
        return 0, []
    first, last = int(reached[0]), int(reached[-1])
    return first, counts[first : last + 1].tolist()


def _widened(first: int, trimmed: list[int]) -> Ints:
    counts = no_counts()
    counts[first : first + len(trimmed)] = np.asarray(trimmed, np.int64)
    return counts
