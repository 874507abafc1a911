"""The deliveries of messages to hooks: which is due, who works on it, and what came of it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)

from mlengine.core.monitoring.messages import TEST_TYPE, Message, is_asked_for
from mlengine.core.timestamps import EPOCH
from mlengine.stores.database.engine import insert_or_ignore, reading, writing
from mlengine.stores.database.outbox import insert_message, message_of
from mlengine.stores.database.tables import deliveries, hooks, outbox
from mlengine.stores.hooks.hook_store import Hook, disable_hook, hook_of

# When a message that tries a hook is due: it goes before all others.
_BEFORE_ALL = EPOCH
_ANEW = {"state": "pending", "attempts": 0, "lease_until": None}


@dataclass(frozen=True)
class Delivery:
    """One message for one hook, in the hands of whoever claimed it until `lease_until`.

    `attempts` were made before.
    """

    id: int
    hook: Hook
    message: Message
    attempts: int
    lease_until: datetime


@dataclass(frozen=True)
class Answer:
    """What the address said: a `status`, or the reason why there is none."""

    status: int | None
    reason: str = field(default="")

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """The address wants nothing any more."""
        return self.status == 410


@dataclass(frozen=True)
class DeliveryStore:
    """The table `deliveries`; every method raises DatabaseUnavailable when it can't be used."""

    engine: Engine

    def due_hooks(self, *, now: datetime) -> list[str]:
        """The hooks that a message is due for; costs little, however many wait."""
        waits = exists().where(deliveries.c.hook_id == hooks.c.id, *_due(now))
        with reading(self.engine) as connection:
            return list(connection.scalars(select(hooks.c.id).where(waits)))

    def claim(self, hook_id: str, *, now: datetime, lease_seconds: float) -> Delivery | None:
        """Take the message that has been due for longest; of any number of callers one gets it."""
        row = deliveries.c
        query = select(row.id).join(hooks).where(row.hook_id == hook_id, *_due(now))
        oldest = query.order_by(row.next_at, row.message_seq).limit(1)
        with writing(self.engine) as connection:
            locked = oldest.with_for_update(of=deliveries, skip_locked=True)
            delivery_id = connection.scalar(locked)
            if delivery_id is None:
                return None
            return _lease(connection, delivery_id, now + timedelta(seconds=lease_seconds))

    def claim_message(
        self, hook_id: str, seq: int, *, now: datetime, lease_seconds: float
    ) -> Delivery | None:
        """As `claim`, of this message; None where another has it, or had it."""
        mine = and_(deliveries.c.hook_id == hook_id, deliveries.c.message_seq == seq)
        query = select(deliveries.c.id).join(hooks).where(mine, *_due(now))
        with writing(self.engine) as connection:
            delivery_id = connection.scalar(query.with_for_update(of=deliveries, skip_locked=True))
            if delivery_id is None:
                return None
            return _lease(connection, delivery_id, now + timedelta(seconds=lease_seconds))

    def record(
        self, delivery: Delivery, answer: Answer, *, retry_at: datetime | None, now: datetime
    ) -> None:
        """Write down how an attempt ended; without `retry_at` a failure is the last.

        A success counts whoever had it; a failure only while the lease is the caller's.
        """
        done = {"attempts": delivery.attempts + 1, "last_at": now, "lease_until": None}
        said = {"last_status": answer.status, "last_reason": answer.reason or None}
        change = update(deliveries).where(deliveries.c.id == delivery.id).values(**done, **said)
        with writing(self.engine) as connection:
            if answer.is_success:
                connection.execute(change.values(state="delivered"))
                return
            mine = change.where(
                deliveries.c.state == "pending", deliveries.c.lease_until == delivery.lease_until
            )
            later = {"next_at": retry_at} if retry_at else {"state": "failed"}
            connection.execute(mine.values(later))
            if answer.is_gone:
                disable_hook(connection, delivery.hook.id, reason="it answered 410", at=now)

    def add_test(self, hook_id: str, *, body: str, now: datetime) -> int:
        """Put a message into the outbox that is for this hook alone; returns its number."""
        with writing(self.engine) as connection:
            seq = insert_message(connection, TEST_TYPE, now, body)
            row = {"hook_id": hook_id, "message_seq": seq, "next_at": _BEFORE_ALL}
            connection.execute(insert(deliveries).values(row))
            return seq

    def deliver_again(self, hook: Hook, *, since: datetime | None, now: datetime) -> int:
        """Put up again what the hook did not get; returns how many messages.

        Those of which all attempts failed; with `since` also those of its types that were written
        from then on while it was disabled, or not there yet.
        """
        mine = deliveries.c.hook_id == hook.id
        is_wanted = [_message, outbox.c.type != TEST_TYPE]
        failed = update(deliveries).where(mine, deliveries.c.state == "failed")
        with writing(self.engine) as connection:
            count = 0
            if since is not None:
                is_wanted.append(outbox.c.at >= since)
                count = _address_missed(connection, hook, since=since, now=now)
            again = failed.where(exists().where(*is_wanted)).values(**_ANEW, next_at=now)
            return count + connection.execute(again).rowcount

    def deliver_message_again(self, hook: Hook, seq: int, *, now: datetime) -> int:
        """Put up this one message, also where the hook got it; returns 0 where there is none."""
        row = {"hook_id": hook.id, "message_seq": seq, "next_at": now}
        again = update(deliveries).where(
            deliveries.c.hook_id == hook.id, deliveries.c.message_seq == seq
        )
        with writing(self.engine) as connection:
            if connection.scalar(select(outbox.c.seq).where(outbox.c.seq == seq)) is None:
                return 0
            connection.execute(insert_or_ignore(connection, deliveries).values(row))
            return connection.execute(again.values(**_ANEW, next_at=now)).rowcount

    def prune(self, *, before: datetime) -> int:
        """Delete the messages that were written before this moment; returns how many."""
        old = select(outbox.c.seq).where(outbox.c.at < before)
        with reading(self.engine) as connection:
            if connection.scalar(old.limit(1)) is None:
                return 0
        with writing(self.engine) as connection:
            connection.execute(delete(deliveries).where(deliveries.c.message_seq.in_(old)))
            return connection.execute(delete(outbox).where(outbox.c.at < before)).rowcount


_message = outbox.c.seq == deliveries.c.message_seq


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """A hook that is disabled gets nothing but the messages that try it."""
    return (
        deliveries.c.state == "pending",
        deliveries.c.next_at <= now,
        or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= now),
        or_(hooks.c.disabled_at.is_(None), deliveries.c.next_at == _BEFORE_ALL),
    )


def _lease(connection: Connection, delivery_id: int, until: datetime) -> Delivery:
    mine = deliveries.c.id == delivery_id
    connection.execute(update(deliveries).where(mine).values(lease_until=until))
    row = connection.execute(select(deliveries).where(mine)).one()
    hook = connection.execute(select(hooks).where(hooks.c.id == row.hook_id)).one()
    message = connection.execute(select(outbox).where(outbox.c.seq == row.message_seq)).one()
    return Delivery(delivery_id, hook_of(hook), message_of(message), row.attempts, until)


def _address_missed(connection: Connection, hook: Hook, *, since: datetime, now: datetime) -> int:
    mine = exists().where(_message, deliveries.c.hook_id == hook.id)
    missed = select(outbox.c.seq, outbox.c.type).where(
        outbox.c.at >= since, outbox.c.type != TEST_TYPE, ~mine
    )
    rows = [
        {"hook_id": hook.id, "message_seq": seq, "next_at": now}
        for seq, message_type in connection.execute(missed)
        if is_asked_for(message_type, hook.types)
    ]
    if rows:
        connection.execute(insert(deliveries), rows)
    return len(rows)
