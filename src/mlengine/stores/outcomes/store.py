"""The outcomes of predictions: each is written once, whoever tries and whenever it is killed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Engine, bindparam, null, select, text, update

from mlengine.core.line_names import MODEL_LINE, split_version_key, version_key
from mlengine.core.monitoring.messages import SCORED_TYPE, scored_body
from mlengine.core.outcomes.outcome import LATE, PENDING, SCORED, VOID, Outcome, PendingOutcome
from mlengine.stores.database.engine import insert_or_ignore, reading, writing
from mlengine.stores.database.many_rows import execute_many
from mlengine.stores.database.outbox import publish_message
from mlengine.stores.database.tables import outcome_revisions, outcomes
from mlengine.stores.database.version_keys import is_of_line
from mlengine.stores.outcomes.answers import Answer, move_position

_NEW = (
    *("model_version", "symbol", "bar_timestamp", "prediction_id", "vector_id", "asked_at"),
    *("score", "due_at", "overdue_at", "look_at", "state"),
)
_DECIDED = (
    *("state", "reason", "label", "forward_return", "last_return", "label_ends"),
    *("decided_at", "other_version", "other_score"),
)
# The first to write is the only one: `state` says whether somebody was.
_STILL_PENDING = (outcomes.c.id == bindparam("row"), text(f"state = '{PENDING}'"))
_DECIDE = (
    update(outcomes)
    .where(*_STILL_PENDING)
    .values({name: bindparam(f"new_{name}", type_=outcomes.c[name].type) for name in _DECIDED})
    .values(look_at=null())
)
_POSTPONE = (
    update(outcomes)
    .where(*_STILL_PENDING)
    .values(look_at=bindparam("new_look_at", type_=outcomes.c.look_at.type))
)


class DueOutcome(NamedTuple):
    """A pending outcome whose time has come, and what it is of."""

    pending: PendingOutcome
    model_version: str
    vector_id: int | None


class OtherScore(NamedTuple):
    """What an earlier version says of the same features."""

    version: str
    score: float


@dataclass(frozen=True)
class OutcomeStore:
    """The table `outcomes` for a line; every method raises DatabaseUnavailable."""

    engine: Engine
    line: str = MODEL_LINE

    def take_in(
        self, answers: Sequence[tuple[Answer, datetime, datetime]], *, position: int
    ) -> None:
        """Wait for the outcomes of answers, each with the moments when it is due and overdue.

        Of the same version, symbol and bar the first counts. `position` is the last row of the
        audit that was read.
        """
        rows = [
            (
                *(self._key(each.model_version), each.symbol, each.bar_timestamp),
                each.prediction_id,
                *(each.vector_id, each.asked_at, each.score, due_at, overdue_at, due_at, PENDING),
            )
            for each, due_at, overdue_at in answers
        ]
        with writing(self.engine) as connection:
            execute_many(connection, insert_or_ignore(connection, outcomes), _NEW, rows)
            move_position(connection, position, self.line)

    def due(self, *, now: datetime, limit: int) -> list[DueOutcome]:
        """The outcomes that are to be looked at, those that wait longest first."""
        row = outcomes.c
        fields = (row.id, row.symbol, row.bar_timestamp, row.asked_at, row.due_at, row.overdue_at)
        query = (
            select(*fields, row.model_version, row.vector_id)
            .where(row.look_at <= now, is_of_line(row.model_version, self.line))
            .order_by(row.look_at, row.id)
            .limit(limit)
        )
        with reading(self.engine) as connection:
            return [
                DueOutcome(PendingOutcome(*pending), split_version_key(key)[1], vector_id)
                for *pending, key, vector_id in connection.execute(query)
            ]

    def decide(
        self,
        version: str,
        decided: Sequence[Outcome],
        others: Mapping[int, OtherScore],
        *,
        postponed: Mapping[int, datetime],
        now: datetime,
    ) -> None:
        """Write what has become of outcomes of a version, and when to look at the others again.

        What was scored is told in one message, with counts: it may be thousands.
        """
        rows = [_decided_row(each, others.get(each.id), now) for each in decided]
        names = (*(f"new_{name}" for name in _DECIDED), "row")
        looks = [(look_at, row) for row, look_at in postponed.items()]
        with writing(self.engine) as connection:
            new = _still_pending(connection, self._key(version), decided)
            execute_many(connection, _DECIDE, names, rows)
            execute_many(connection, _POSTPONE, ("new_look_at", "row"), looks)
            if rows:
                _count_revision(connection, self._key(version))
            if any(each.state == SCORED for each in new):
                body = scored_body(self.line, version, _scored_facts(new), now)
                publish_message(connection, SCORED_TYPE, now, body)

    def next_look(self) -> datetime | None:
        """When the next outcome is due; None while none is pending."""
        with reading(self.engine) as connection:
            row = outcomes.c
            ours = is_of_line(row.model_version, self.line)
            earliest: datetime | None = connection.scalar(
                select(row.look_at)
                .where(row.look_at.is_not(None), ours)
                .order_by(row.look_at)
                .limit(1)
            )
        return earliest

    def _key(self, version: str) -> str:
        return version_key(self.line, version)


def _count_revision(connection: Connection, key: str) -> None:
    mine = update(outcome_revisions).where(outcome_revisions.c.model_version == key)
    again = mine.values(revision=outcome_revisions.c.revision + 1)
    if connection.execute(again).rowcount == 0:
        first = insert_or_ignore(connection, outcome_revisions)
        connection.execute(first.values(model_version=key, revision=1))


def _still_pending(
    connection: Connection, key: str, decided: Sequence[Outcome]
) -> Sequence[Outcome]:
    """Those that nobody has decided meanwhile."""
    if not decided:
        return ()
    ids, row = [each.id for each in decided], outcomes.c
    query = select(row.id).where(
        row.model_version == key, row.id.between(min(ids), max(ids)), row.state == PENDING
    )
    pending = set(connection.scalars(query))
    return [each for each in decided if each.id in pending]


def _scored_facts(decided: Sequence[Outcome]) -> dict[str, object]:
    counts = {state: sum(each.state == state for each in decided) for state in (SCORED, VOID, LATE)}
    ids = [each.id for each in decided if each.state == SCORED]
    return {**counts, "first_outcome": min(ids), "last_outcome": max(ids)}


def _decided_row(outcome: Outcome, other: OtherScore | None, now: datetime) -> tuple[object, ...]:
    return (
        *(outcome.state, outcome.reason, outcome.label, outcome.forward_return),
        *(outcome.last_return, outcome.label_ends, now),
        *(other or (None, None)),
        outcome.id,
    )
