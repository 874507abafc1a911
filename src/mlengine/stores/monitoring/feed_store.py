"""Which feeds are stale, by the newest live prediction of each symbol; each change is told once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Connection, Engine, delete, func, select, type_coerce

from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.monitoring.event import Event, EventKind
from mlengine.core.timestamps import rfc3339
from mlengine.stores.database.engine import insert_or_ignore, reading, writing
from mlengine.stores.database.events import insert_event
from mlengine.stores.database.tables import (
    MICROSECOND,
    feature_vectors,
    monitoring_positions,
    predictions,
    stale_feeds,
)

_STEP = "feeds"
_OURS = monitoring_positions.c.step == _STEP
# Of more new rows than these the oldest say nothing of the present.
_MOST_ROWS = 50_000
# So many symbols an event names.
MOST_NAMED = 100


@dataclass(frozen=True)
class FeedState:
    """What the newest live prediction of a symbol said of its newest bar."""

    last_bar: datetime
    is_stale: bool


@dataclass(frozen=True)
class FeedStore:
    """The table `stale_feeds`; every method raises DatabaseUnavailable when it can't be used."""

    engine: Engine

    def new_states(self, interval: str) -> tuple[dict[str, FeedState], int]:
        """The states by symbol that have come since the last update, and the row reached."""
        with reading(self.engine) as connection:
            newest = connection.scalar(select(func.max(predictions.c.seq))) or 0
            known = connection.scalar(select(monitoring_positions.c.prediction_seq).where(_OURS))
            since = max(known or 0, newest - _MOST_ROWS)
            return _states(connection, interval, since=since, until=newest), newest

    def take_in(
        self, states: Mapping[str, FeedState], interval: str, *, position: int, now: datetime
    ) -> None:
        """Note which feeds are stale; one event for those that became so, one for the others."""
        stale = {name: state for name, state in states.items() if state.is_stale}
        fresh = {name: state for name, state in states.items() if not state.is_stale}
        with writing(self.engine) as connection:
            _move_position(connection, position)
            begun = [name for name in sorted(stale) if _begin(connection, name, interval, now)]
            ended = [name for name in sorted(fresh) if _end(connection, name, interval)]
            changes: tuple[tuple[EventKind, list[str]], ...] = (
                ("feed_stale", begun),
                ("feed_fresh", ended),
            )
            for kind, names in changes:
                if names:
                    last_bars = {name: states[name].last_bar for name in names}
                    insert_event(connection, _event(kind, interval, last_bars, now))


def _states(
    connection: Connection, interval: str, *, since: int, until: int
) -> dict[str, FeedState]:
    row, vector = predictions.c, feature_vectors.c
    # What was asked about the past says nothing about the feed.
    lag = type_coerce(row.at, BigInteger) - type_coerce(row.as_of, BigInteger)
    is_live = lag < INTERVALS[interval] // MICROSECOND
    newest = (
        select(func.max(row.seq))
        .where(row.seq > since, row.seq <= until, row.ok, row.stale.is_not(None), is_live)
        .group_by(row.symbol)
    )
    query = (
        select(row.symbol, vector.bar_timestamp, row.stale)
        .join(feature_vectors, row.vector_id == vector.id)
        .where(row.seq.in_(newest), vector.interval == interval)
    )
    return {symbol: FeedState(bar, stale) for symbol, bar, stale in connection.execute(query)}


def _begin(connection: Connection, symbol: str, interval: str, now: datetime) -> bool:
    row = {"symbol": symbol, "interval": interval, "since": now}
    return bool(connection.execute(insert_or_ignore(connection, stale_feeds).values(row)).rowcount)


def _end(connection: Connection, symbol: str, interval: str) -> bool:
    ours = delete(stale_feeds).where(
        stale_feeds.c.symbol == symbol, stale_feeds.c.interval == interval
    )
    return bool(connection.execute(ours).rowcount)


def _event(
    kind: EventKind, interval: str, last_bars: Mapping[str, datetime], now: datetime
) -> Event:
    named = {name: rfc3339(bar) for name, bar in [*last_bars.items()][:MOST_NAMED]}
    details = {"interval": interval, "count": len(last_bars), "last_bars": named}
    return Event(kind=kind, at=now, version=None, actor=None, details=details)


def _move_position(connection: Connection, position: int) -> None:
    row = {"step": _STEP, "prediction_seq": position}
    insert = insert_or_ignore(connection, monitoring_positions).values(row)
    if connection.execute(insert).rowcount == 0:
        move = monitoring_positions.update().where(_OURS)
        connection.execute(move.values(prediction_seq=position))
