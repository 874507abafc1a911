"""The events behind `/monitoring/history`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime

import orjson
from sqlalchemy import ColumnElement, Connection, Engine, Row, select, update

from mlengine.core.line_names import MODEL_LINE
from mlengine.core.monitoring.event import Event, EventKind
from mlengine.core.pagination import Page
from mlengine.stores.database.engine import insert_or_ignore, parse_column, reading, writing
from mlengine.stores.database.outbox import write_message
from mlengine.stores.database.pages import read_page, require_declared_types
from mlengine.stores.database.tables import events

_MOST_REQUESTS = 100
_FIELDS = tuple(field.name for field in fields(Event))


@dataclass(frozen=True)
class EventStore:
    """The events of a model line; every method raises DatabaseUnavailable when they can't be read.

    Of the table `events`.
    """

    engine: Engine
    line: str = MODEL_LINE

    def append(
        self,
        kind: EventKind,
        *,
        at: datetime,
        version: str | None,
        actor: str | None,
        details: Mapping[str, object],
        generation: int | None = None,
        lock_timeout_seconds: float | None = None,
        waits_by_itself: bool = False,
    ) -> None:
        """Write one event; a `generation` that has its event already is left as it stands.

        Other writers are waited for as `writing` says.
        """
        event = Event(
            kind=kind,
            at=at,
            version=version,
            actor=actor,
            details=details,
            generation=generation,
            model=self.line,
        )
        with writing(
            self.engine,
            lock_timeout_seconds=lock_timeout_seconds,
            waits_by_itself=waits_by_itself,
        ) as connection:
            insert_event(connection, event)

    def page(
        self,
        kind: str | None,
        limit: int,
        cursor: str | None,
        *,
        actor: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        all_lines: bool = False,
    ) -> Page[Event]:
        """At most `limit` events, newest first; raises InvalidRequest on a bad cursor.

        Every condition that is given must hold; `since` is included, `until` is not. With
        `all_lines` they are of whichever model line.
        """
        column = events.c
        conditions = (
            *(() if all_lines else (self._ours,)),
            *((column.kind == kind,) if kind is not None else ()),
            *((column.actor == actor,) if actor is not None else ()),
            *((column.at >= since,) if since is not None else ()),
            *((column.at < until,) if until is not None else ()),
        )
        query = select(events).where(*conditions)
        return read_page(self.engine, query, _event, seq=events.c.seq, limit=limit, cursor=cursor)

    def newest(self, kind: str, *, version: str) -> Event | None:
        """The last event of a kind about a version, None where there is none."""
        query = (
            select(events)
            .where(self._ours, events.c.kind == kind, events.c.version == version)
            .order_by(events.c.seq.desc())
            .limit(1)
        )
        with reading(self.engine) as connection:
            row = connection.execute(query).first()
        return None if row is None else _event(row)

    def activation_requests(self, version: str, *, after_generation: int) -> list[Event]:
        """Who asked for a version since the activation of that generation, newest first."""
        query = (
            select(events)
            .where(
                self._ours,
                events.c.kind == "activation_requested",
                events.c.version == version,
            )
            .order_by(events.c.seq.desc())
            .limit(_MOST_REQUESTS)
        )
        with reading(self.engine) as connection:
            requests = [_event(row) for row in connection.execute(query)]
        return [
            each for each in requests if each.details.get("after_generation") == after_generation
        ]

    def served_before(self, version: str) -> str | None:
        """What was active before the first activation of a version; None where nothing was."""
        query = (
            select(events.c.details)
            .where(self._ours, events.c.version == version, events.c.generation.is_not(None))
            .order_by(events.c.generation)
            .limit(1)
        )
        with reading(self.engine) as connection:
            details = connection.scalar(query)
        before = parse_column(details).get("previous_version") if details else None
        return before if isinstance(before, str) and before != version else None

    def active_at(self, moment: datetime) -> str | None:
        """Which version served at a moment; None before the first activation."""
        query = (
            select(events.c.version)
            .where(self._ours, events.c.generation.is_not(None), events.c.at <= moment)
            .order_by(events.c.generation.desc())
            .limit(1)
        )
        with reading(self.engine) as connection:
            version: str | None = connection.scalar(query)
        return version

    def count_gate_tests(self, generation: int) -> int:
        """How many trainings have been tested against the champion of this activation."""
        return sum(
            details.get("tested") is True and details.get("champion_generation") == generation
            for details in self.trainings()
        )

    def trainings(self) -> list[Mapping[str, object]]:
        """The details of every training that published, also of versions that are gone by now."""
        query = select(events.c.details).where(self._ours, events.c.kind == "trained")
        with reading(self.engine) as connection:
            return [parse_column(details) for details in connection.scalars(query)]

    def recorded_generations(self) -> set[int]:
        """The generations of ACTIVE that have their event."""
        query = select(events.c.generation).where(self._ours, events.c.generation.is_not(None))
        with reading(self.engine) as connection:
            return {value for value in connection.scalars(query) if value is not None}

    @property
    def _ours(self) -> ColumnElement[bool]:
        return events.c.model == self.line


def insert_event(connection: Connection, event: Event) -> int | None:
    """Write one event in a transaction of the caller's, and what others are told of it.

    Returns its number, None where the event of its generation is there already. To be called last
    in the transaction: whoever writes another such event waits from here until it ends.
    """
    row = {**vars(event), "details": _dump(event.details)}
    query = insert_or_ignore(connection, events).values(row).returning(events.c.seq)
    seq: int | None = connection.scalar(query)
    if seq is not None:
        write_message(connection, event)
    return seq


def replace_details(connection: Connection, seq: int, details: Mapping[str, object]) -> None:
    """Let the event with this number say something else."""
    query = update(events).where(events.c.seq == seq)
    connection.execute(query.values(details=_dump(details)))


def _dump(details: Mapping[str, object]) -> str:
    return orjson.dumps(details).decode()


def _event(row: Row[tuple[object, ...]]) -> Event:
    values = {name: getattr(row, name) for name in _FIELDS}
    return require_declared_types(Event(**{**values, "details": parse_column(row.details)}))
