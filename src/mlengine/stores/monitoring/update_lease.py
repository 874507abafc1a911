"""The lease of the process that brings monitoring up to date, and how far the last one got."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, func, or_, select, update

from mlengine.stores.database.engine import insert_or_ignore, reading, writing
from mlengine.stores.database.tables import bar_segments, monitoring_updates, predictions

_NAME = "monitoring"
_RECENT = timedelta(days=8)
_OURS = monitoring_updates.c.name == _NAME


@dataclass(frozen=True)
class Position:
    """The newest audited prediction and the newest recording of bars; 0 where there is none."""

    prediction_seq: int
    bar_segment_id: int


@dataclass(frozen=True)
class UpdateLease:
    """The one row of `monitoring_updates`; every method raises DatabaseUnavailable."""

    engine: Engine

    def is_due(self, *, now: datetime) -> bool:
        """Whether nobody holds it, and rows have come or the next look is due."""
        with reading(self.engine) as connection:
            row = connection.execute(select(monitoring_updates).where(_OURS)).first()
            position = _position(connection)
        if row is None:
            return position != Position(0, 0)
        if row.lease_until is not None and row.lease_until > now:
            return False
        is_behind = position != Position(row.prediction_seq, row.bar_segment_id)
        return is_behind or (row.next_look is not None and row.next_look <= now)

    def waits_since(self, *, now: datetime) -> datetime | None:
        """Since when something has waited for an update; None where nothing does.

        That is the oldest prediction of eight days that none has taken in, or a look that is due.
        """
        row, at = predictions.c, predictions.c.at
        with reading(self.engine) as connection:
            known = connection.execute(select(monitoring_updates).where(_OURS)).first()
            # By their moment earlier partitions are left out, of which a query plans for each.
            waits = select(at).where(at >= now - _RECENT).order_by(row.seq if known else at)
            if known:
                waits = waits.where(row.seq > known.prediction_seq)
            oldest: datetime | None = connection.scalar(waits.limit(1))
        look = known.next_look if known else None
        due = [each for each in (oldest, look) if each is not None and each <= now]
        return min(due, default=None)

    def acquire(self, holder: str, *, now: datetime, lease_seconds: float) -> Position | None:
        """Take the lease; returns what the update is to take in, None where another holds it."""
        lease_until = now + timedelta(seconds=lease_seconds)
        is_free = or_(
            monitoring_updates.c.lease_until.is_(None), monitoring_updates.c.lease_until <= now
        )
        take = update(monitoring_updates).where(_OURS, is_free)
        row = {"name": _NAME, "prediction_seq": 0, "bar_segment_id": 0}
        with writing(self.engine) as connection:
            connection.execute(insert_or_ignore(connection, monitoring_updates).values(row))
            taken = connection.execute(take.values(holder=holder, lease_until=lease_until))
            return _position(connection) if taken.rowcount else None

    def renew(self, holder: str, *, now: datetime, lease_seconds: float) -> bool:
        """Whether `holder` still had it, and has it for so many seconds more."""
        renewal = update(monitoring_updates).where(_OURS, monitoring_updates.c.holder == holder)
        lease_until = now + timedelta(seconds=lease_seconds)
        with writing(self.engine) as connection:
            return bool(connection.execute(renewal.values(lease_until=lease_until)).rowcount)

    def release(
        self, holder: str, *, taken_in: Position | None, next_look: datetime | None
    ) -> None:
        """Let others take it, if `holder` has it; `taken_in` is None after a failure.

        `next_look` is when there is something to do also where no row has come.
        """
        values: dict[str, object] = {"holder": None, "lease_until": None, "next_look": next_look}
        if taken_in is not None:
            values.update(vars(taken_in))
        with writing(self.engine) as connection:
            mine = update(monitoring_updates).where(_OURS, monitoring_updates.c.holder == holder)
            connection.execute(mine.values(values))


def _position(connection: Connection) -> Position:
    newest_prediction = connection.scalar(select(func.max(predictions.c.seq)))
    newest_segment = connection.scalar(select(func.max(bar_segments.c.id)))
    return Position(newest_prediction or 0, newest_segment or 0)
