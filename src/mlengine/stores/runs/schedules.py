"""The schedule's last tick, and the claim of the next: of any number of workers one takes it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from mlengine.core.line_names import MODEL_LINE
from mlengine.core.monitoring.event import Event, EventKind
from mlengine.core.runs.schedule import Schedule, ScheduleTick
from mlengine.core.timestamps import rfc3339
from mlengine.errors import DamagedRow
from mlengine.stores.database.engine import insert_or_ignore, reading, writing
from mlengine.stores.database.events import insert_event
from mlengine.stores.database.tables import schedules
from mlengine.stores.runs import rows
from mlengine.stores.runs.rows import NewRun

log = logging.getLogger(__name__)

_NOTHING = ""


@dataclass(frozen=True)
class ScheduleStore:
    """The schedule of a model line; every method raises DatabaseUnavailable.

    It is a row of the table `schedules`.
    """

    engine: Engine
    line: str = MODEL_LINE

    def read(self) -> Schedule | None:
        """None as long as nobody has said anything."""
        with reading(self.engine) as connection:
            row = connection.execute(select(schedules).where(self._ours)).first()
        return None if row is None else Schedule(row.expression or None, row.last_tick)

    def read_or_forget(self) -> Schedule | None:
        """As `read`, but a damaged row is removed: the schedule begins anew, as configured."""
        try:
            return self.read()
        except DamagedRow:
            log.error("schedule set aside", extra={"reason": "its row is damaged"})  # noqa: TRY400
            self.forget()
            return None

    def begin(self, expression: str, *, now: datetime) -> None:
        """Count from `now` on, unless there is a schedule by now."""
        with writing(self.engine) as connection:
            row = self._row(expression, now)
            connection.execute(insert_or_ignore(connection, schedules).values(row))

    def set_expression(self, expression: str | None, *, actor: str, now: datetime) -> None:
        """Count from `now` on: nothing is run for the past of another expression.

        None is that nothing is scheduled. The history says who changed it.
        """
        with writing(self.engine) as connection:
            self.set_within(connection, expression, actor=actor, now=now)

    def set_within(
        self, connection: Connection, expression: str | None, *, actor: str, now: datetime
    ) -> None:
        """As `set_expression`, in a transaction that is under way."""
        row = self._row(expression, now)
        before = connection.execute(select(schedules).where(self._ours)).first()
        if before is not None and before.expression == row["expression"]:
            return
        if before is None:
            connection.execute(insert(schedules).values(row))
        else:
            connection.execute(update(schedules).where(self._ours).values(row))
        insert_event(connection, self._schedule_set(expression, before, actor, now))

    def forget(self) -> None:
        """As if nobody had said anything."""
        with writing(self.engine) as connection:
            connection.execute(delete(schedules).where(self._ours))

    def claim_tick(
        self, expected: Schedule, tick: datetime, new: NewRun, *, now: datetime
    ) -> ScheduleTick:
        """Move the last tick from `expected` to `tick` and insert the run, both or neither.

        While a run lives the tick passes without one, and the history says so.
        """
        move = update(schedules).where(
            self._ours,
            schedules.c.expression == (expected.expression or _NOTHING),
            schedules.c.last_tick == expected.last_tick,
        )
        try:
            with writing(self.engine) as connection:
                if connection.execute(move.values(last_tick=tick)).rowcount == 0:
                    return ScheduleTick("taken", None)
                rows.mark_overdue_as_lost(connection, now)
                live = rows.live_run_id(connection, self.line)
                if live is None:
                    rows.insert_run(connection, replace(new, model=self.line), now=now)
                    return ScheduleTick("claimed", new.run_id)
                facts = {"run_id": live, "tick": rfc3339(tick)}
                insert_event(connection, self._event("train_skipped", new.actor, now, facts))
                return ScheduleTick("skipped", live)
        except IntegrityError:  # a run was claimed meanwhile: look again
            return ScheduleTick("contended", None)

    def _row(self, expression: str | None, now: datetime) -> dict[str, object]:
        return {"model": self.line, "expression": expression or _NOTHING, "last_tick": now}

    def _schedule_set(
        self, expression: str | None, before: Row[Any] | None, actor: str, now: datetime
    ) -> Event:
        facts = {"expression": expression, "before": before.expression or None if before else None}
        return self._event("schedule_set", actor, now, facts)

    def _event(
        self, kind: EventKind, actor: str, now: datetime, facts: Mapping[str, object]
    ) -> Event:
        return Event(kind=kind, at=now, version=None, actor=actor, details=facts, model=self.line)

    @property
    def _ours(self) -> ColumnElement[bool]:
        return schedules.c.model == self.line
