"""Who gets the messages of the outbox, at which address, and signed with what."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Engine, Row, Update, delete, func, insert, select, update

from mlengine.core.monitoring.event import Event
from mlengine.errors import HookNotFound, TooManyHooks
from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.events import insert_event
from mlengine.stores.database.tables import deliveries, hooks

MOST_HOOKS = 20


@dataclass(frozen=True, kw_only=True)
class Hook:
    """An address that gets messages of `types`, of all where there are none.

    Messages are signed with `secret`, and until `previous_until` with `previous_secret` too.
    """

    id: str
    url: str = field(repr=False)
    types: tuple[str, ...]
    created_at: datetime
    secret: str = field(repr=False)
    previous_secret: str | None = field(default=None, repr=False)
    previous_until: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None

    def secrets(self, now: datetime) -> tuple[str, ...]:
        """Those to sign with at this moment, the newest first."""
        if self.previous_secret and self.previous_until and now < self.previous_until:
            return self.secret, self.previous_secret
        return (self.secret,)


@dataclass(frozen=True)
class DeliveryCounts:
    """How many messages a hook waits for, got, and did not get in all attempts."""

    pending: int = 0
    delivered: int = 0
    failed: int = 0


@dataclass(frozen=True)
class HookStore:
    """The table `hooks`; every method raises DatabaseUnavailable when it can't be used."""

    engine: Engine

    def add(self, hook: Hook, *, actor: str) -> None:
        """Raises TooManyHooks; what is changed here stands in the history, by whom."""
        with writing(self.engine) as connection:
            if (connection.scalar(select(func.count()).select_from(hooks)) or 0) >= MOST_HOOKS:
                raise TooManyHooks(MOST_HOOKS)
            connection.execute(insert(hooks).values({**vars(hook), "types": _joined(hook.types)}))
            _note(connection, hook.id, "added", actor, hook.created_at)

    def list(self) -> Sequence[Hook]:
        """The oldest first."""
        with reading(self.engine) as connection:
            rows = connection.execute(select(hooks).order_by(hooks.c.created_at, hooks.c.id))
            return [hook_of(row) for row in rows]

    def counts(self) -> dict[str, DeliveryCounts]:
        """By hook; one that no message was for is left out."""
        columns = deliveries.c.hook_id, deliveries.c.state
        query = select(*columns, func.count()).group_by(*columns)
        found: dict[str, dict[str, int]] = {}
        with reading(self.engine) as connection:
            for hook_id, state, count in connection.execute(query):
                found.setdefault(hook_id, {})[state] = count
        return {hook_id: DeliveryCounts(**counts) for hook_id, counts in found.items()}

    def rotate(
        self, hook_id: str, secret: str, *, previous_until: datetime, actor: str, now: datetime
    ) -> None:
        """Sign with `secret`, and until then with what was the secret; raises HookNotFound."""
        new = {"previous_secret": hooks.c.secret, "previous_until": previous_until}
        with writing(self.engine) as connection:
            _require(connection, hook_id)
            connection.execute(_of(hook_id).values(secret=secret, **new))
            _note(connection, hook_id, "rotated", actor, now)

    def enable(self, hook_id: str) -> bool:
        """Whether it was disabled."""
        disabled = _of(hook_id).where(hooks.c.disabled_at.is_not(None))
        with writing(self.engine) as connection:
            values = {"disabled_at": None, "disabled_reason": None}
            return bool(connection.execute(disabled.values(values)).rowcount)

    def remove(self, hook_id: str, *, actor: str, now: datetime) -> None:
        """With all its deliveries; raises HookNotFound."""
        with writing(self.engine) as connection:
            _require(connection, hook_id)
            connection.execute(delete(deliveries).where(deliveries.c.hook_id == hook_id))
            connection.execute(delete(hooks).where(hooks.c.id == hook_id))
            _note(connection, hook_id, "removed", actor, now)

    def get(self, hook_id: str) -> Hook:
        """Raises HookNotFound."""
        with reading(self.engine) as connection:
            return hook_of(_require(connection, hook_id))


def disable_hook(connection: Connection, hook_id: str, *, reason: str, at: datetime) -> None:
    """Send it nothing more, and say so in the history, in a transaction of the caller's."""
    enabled = _of(hook_id).where(hooks.c.disabled_at.is_(None))
    if connection.execute(enabled.values(disabled_at=at, disabled_reason=reason)).rowcount:
        details = {"hook": hook_id, "reason": reason}
        event = Event(kind="hook_disabled", at=at, version=None, actor=None, details=details)
        insert_event(connection, event)


def _note(connection: Connection, hook_id: str, change: str, actor: str, at: datetime) -> None:
    details = {"hook": hook_id, "change": change}
    event = Event(kind="hook_changed", at=at, version=None, actor=actor, details=details)
    insert_event(connection, event)


def hook_of(row: Row[tuple[object, ...]]) -> Hook:
    """The hook in a row that has the columns of `hooks`."""
    values = {column.name: getattr(row, column.name) for column in hooks.c}
    return Hook(**{**values, "types": tuple(row.types.split())})


def _joined(types: Sequence[str]) -> str:
    """Each between two blanks."""
    return f" {' '.join(types)} " if types else ""


def _of(hook_id: str) -> Update:
    return update(hooks).where(hooks.c.id == hook_id)


def _require(connection: Connection, hook_id: str) -> Row[tuple[object, ...]]:
    query = select(hooks).where(hooks.c.id == hook_id).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise HookNotFound(hook_id)
    return row
