"""The outbox: a message for each event that others are told of, in the event's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, Row, func, insert, literal, or_, select

from mlengine.core.monitoring.event import Event
from mlengine.core.monitoring.messages import MESSAGE_TYPES, Message, body_of, family_of
from mlengine.stores.database.engine import lock_tables, reading
from mlengine.stores.database.tables import deliveries, hooks, outbox


@dataclass(frozen=True)
class Outbox:
    """The table `outbox`; every method raises DatabaseUnavailable when it can't be used."""

    engine: Engine

    def newest_seq(self) -> int:
        """The number of the last message, 0 before the first."""
        with reading(self.engine) as connection:
            return connection.scalar(select(func.max(outbox.c.seq))) or 0

    def after(self, seq: int, *, limit: int) -> list[Message]:
        """The messages behind the one with this number, oldest first."""
        query = select(outbox).where(outbox.c.seq > seq).order_by(outbox.c.seq).limit(limit)
        with reading(self.engine) as connection:
            return [message_of(row) for row in connection.execute(query)]


def write_message(connection: Connection, event: Event) -> None:
    """Put what others are told of `event` into the outbox, and up for delivery to each hook.

    In the transaction of the event; the last of its statements, for all others wait from here.
    """
    message_type = MESSAGE_TYPES.get(event.kind)
    if message_type is not None:
        publish_message(connection, message_type, event.at, body_of(event, message_type))


def publish_message(connection: Connection, message_type: str, at: datetime, body: str) -> None:
    """As `write_message`, of what is told and no event of the history."""
    _address(connection, insert_message(connection, message_type, at, body), message_type, at)


def insert_message(connection: Connection, message_type: str, at: datetime, body: str) -> int:
    """Write a message that is for nobody yet; returns its number.

    Numbers are in the order of commits: who has read one misses none that comes with a lower one.
    """
    lock_tables(connection, outbox)
    row = {"type": message_type, "at": at, "body": body}
    result = connection.execute(insert(outbox).values(row).returning(outbox.c.seq))
    return int(result.scalar_one())


def message_of(row: Row[tuple[object, ...]]) -> Message:
    return Message(row.seq, row.type, row.at, row.body)


def _address(connection: Connection, seq: int, message_type: str, at: datetime) -> None:
    wanted = [
        hooks.c.types.contains(f" {each} ", autoescape=True) for each in _patterns(message_type)
    ]
    recipients = select(hooks.c.id, literal(seq), literal(at, deliveries.c.next_at.type)).where(
        hooks.c.disabled_at.is_(None), or_(hooks.c.types == "", *wanted)
    )
    columns = ["hook_id", "message_seq", "next_at"]
    connection.execute(insert(deliveries).from_select(columns, recipients))


def _patterns(message_type: str) -> Sequence[str]:
    return message_type, family_of(message_type)
