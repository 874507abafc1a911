"""Which events have asked for a training: of any number of workers one takes each."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from mlengine.core.line_names import MODEL_LINE
from mlengine.core.monitoring.event import FROZEN_FEATURE, Event, EventKind
from mlengine.core.runs.retraining import RetrainingState, RetrainingTick, Trigger
from mlengine.stores.database.engine import insert_or_ignore, parse_column, reading, writing
from mlengine.stores.database.events import insert_event
from mlengine.stores.database.tables import events, retrainings
from mlengine.stores.runs import rows
from mlengine.stores.runs.rows import NewRun


@dataclass(frozen=True)
class RetrainingStore:
    """What a model line has heeded; every method raises DatabaseUnavailable.

    It is a row of the table `retrainings`.
    """

    engine: Engine
    line: str = MODEL_LINE

    def read(self) -> RetrainingState | None:
        """None where no event asks for a training."""
        with reading(self.engine) as connection:
            row = connection.execute(select(retrainings).where(self._ours)).first()
        return None if row is None else RetrainingState(row.event_seq, row.requested_at)

    def begin(self) -> None:
        """Heed the events from now on, none of the past."""
        with writing(self.engine) as connection:
            newest = connection.scalar(select(func.max(events.c.seq))) or 0
            row = {"model": self.line, "event_seq": newest}
            connection.execute(insert_or_ignore(connection, retrainings).values(row))

    def end(self) -> None:
        """Heed no events; whoever begins again begins anew."""
        if self.read() is not None:
            with writing(self.engine) as connection:
                connection.execute(delete(retrainings).where(self._ours))

    def newest_trigger(self, kinds: Collection[str], *, after: int) -> Trigger | None:
        """The newest event of these kinds behind the one with this number; several count as one.

        One about a frozen feature is none: no training mends its feed. Raises DamagedRow too.
        """
        row = events.c
        query = select(row.seq, row.kind, row.version, row.details).where(
            row.model == self.line, row.kind.in_(kinds), row.seq > after
        )
        with reading(self.engine) as connection:
            for *found, details in connection.execute(query.order_by(row.seq.desc())):
                facts = parse_column(details)
                if not isinstance(facts, dict) or facts.get("by") != FROZEN_FEATURE:
                    return Trigger(*found)
        return None

    def live_run(self) -> str | None:
        """The id of the run that is queued or running."""
        with reading(self.engine) as connection:
            return rows.live_run_id(connection, self.line)

    def claim(
        self, expected: RetrainingState, trigger: Trigger, new: NewRun, *, now: datetime
    ) -> RetrainingTick:
        """Deal with `trigger` by a run, both or neither; the history says so."""
        details = {"run_id": new.run_id, **_facts(trigger)}
        try:
            with writing(self.engine) as connection:
                if not _move(connection, self.line, expected, trigger, requested_at=now):
                    return RetrainingTick("taken")
                rows.mark_overdue_as_lost(connection, now)
                rows.insert_run(connection, replace(new, model=self.line), now=now)
                insert_event(
                    connection, self._event("train_requested", new.actor, trigger, now, details)
                )
                return RetrainingTick("claimed", run_id=new.run_id)
        except IntegrityError:  # a run was claimed meanwhile
            return RetrainingTick("waiting")

    def pass_over(
        self,
        expected: RetrainingState,
        trigger: Trigger,
        *,
        reason: str,
        actor: str,
        now: datetime,
    ) -> RetrainingTick:
        """Deal with `trigger` by nothing but a line in the history."""
        details = {"reason": reason, **_facts(trigger)}
        with writing(self.engine) as connection:
            if not _move(
                connection, self.line, expected, trigger, requested_at=expected.requested_at
            ):
                return RetrainingTick("taken")
            insert_event(connection, self._event("train_skipped", actor, trigger, now, details))
            return RetrainingTick("skipped", reason=reason)

    def _event(
        self,
        kind: EventKind,
        actor: str,
        trigger: Trigger,
        now: datetime,
        details: dict[str, object],
    ) -> Event:
        return Event(
            kind=kind,
            at=now,
            version=trigger.version,
            actor=actor,
            details=details,
            model=self.line,
        )

    @property
    def _ours(self) -> ColumnElement[bool]:
        return retrainings.c.model == self.line


def _move(
    connection: Connection,
    line: str,
    expected: RetrainingState,
    trigger: Trigger,
    *,
    requested_at: datetime | None,
) -> bool:
    """Whether nobody else has dealt with anything since `expected`."""
    move = update(retrainings).where(
        retrainings.c.model == line, retrainings.c.event_seq == expected.event_seq
    )
    values = {"event_seq": trigger.event_seq, "requested_at": requested_at}
    return bool(connection.execute(move.values(values)).rowcount)


def _facts(trigger: Trigger) -> dict[str, object]:
    return {"trigger": trigger.kind, "event": trigger.event_seq}
