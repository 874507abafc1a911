"""A row of `runs` read and written: what every change of one shares."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime

import orjson
from sqlalchemy import ColumnElement, Connection, Select, Update, select, update
from sqlalchemy import Row as SqlRow

from mlengine.core.line_names import MODEL_LINE
from mlengine.core.monitoring.event import ENDINGS, Event
from mlengine.core.runs.progress import Progress
from mlengine.core.runs.run import LIVE_STATES, Run
from mlengine.errors import DamagedRow
from mlengine.stores.database.engine import parse_column
from mlengine.stores.database.events import insert_event
from mlengine.stores.database.pages import require_declared_types
from mlengine.stores.database.tables import runs

_JSON = ("progress", "log", "result")
_PLAIN = tuple(field.name for field in fields(Run) if field.name not in _JSON)


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """A run that is asked for; `spec` is the JSON text that the worker will read.

    With an `idempotency_key`, whoever asks again with the same `body_hash` gets the same run.
    """

    run_id: str
    spec: str
    actor: str
    request_id: str | None
    kind: str = "train"
    idempotency_key: str | None = None
    body_hash: str | None = None
    traceparent: str | None = None
    model: str = MODEL_LINE


def newest_first() -> Select[tuple[object, ...]]:
    return select(runs).order_by(runs.c.seq.desc())


def live_run_id(connection: Connection, line: str) -> str | None:
    """The id of the line's run that is queued or running."""
    live = (runs.c.model == line) & runs.c.state.in_(LIVE_STATES)
    run_id: str | None = connection.scalar(select(runs.c.run_id).where(live))
    return run_id


def update_run(**values: object) -> Update:
    """An UPDATE that counts itself in `sequence`."""
    return update(runs).values(sequence=runs.c.sequence + 1, **values)


def insert_run(connection: Connection, new: NewRun, *, now: datetime) -> None:
    """Raises IntegrityError while another run of its line lives, or for a key that is taken."""
    row = {**asdict(new), "state": "queued", "queued_at": now}
    connection.execute(runs.insert().values(row))


def mark_overdue_as_lost(connection: Connection, now: datetime) -> int:
    """Write `lost` on each running run whose lease has expired; returns how many."""
    overdue = (runs.c.state == "running") & (runs.c.lease_until <= now)
    return mark_as_lost(
        connection, overdue, now, "the process that ran it stopped renewing its lease"
    )


def mark_as_lost(
    connection: Connection, where: ColumnElement[bool], now: datetime, error: str
) -> int:
    """Write `lost` on the runs for which `where` holds; returns how many."""
    run_ids = connection.scalars(select(runs.c.run_id).where(where)).all()
    for run_id in run_ids:
        end_run(connection, run_id, where, "lost", now=now, error=error)
    return len(run_ids)


def end_run(
    connection: Connection,
    run_id: str,
    where: ColumnElement[bool],
    state: str,
    *,
    now: datetime,
    error: str | None,
    actor: str | None = None,
    values: Mapping[str, object] | None = None,
) -> bool:
    """End the run, with the event of it, if `where` holds; False where it does not.

    The event says who ended it, or else why.
    """
    ended = {"state": state, "ended_at": now, "lease_until": None, "publishing": False}
    query = update_run(**ended, error=error, **(values or {}))
    if connection.execute(query.where(runs.c.run_id == run_id, where)).rowcount == 0:
        return False
    if state in ENDINGS:
        details = {"run_id": run_id} if actor else {"run_id": run_id, "reason": error}
        line = connection.scalar(select(runs.c.model).where(runs.c.run_id == run_id))
        event = Event(
            kind=ENDINGS[state], at=now, version=None, actor=actor, details=details, model=str(line)
        )
        insert_event(connection, event)
    return True


def to_json(value: object) -> str:
    return orjson.dumps(value).decode()


def run_from_row(row: SqlRow[tuple[object, ...]]) -> Run:
    """Raises DamagedRow."""
    try:
        run = Run(
            **{name: getattr(row, name) for name in _PLAIN},
            progress=Progress(**parse_column(row.progress)) if row.progress else None,
            log=tuple(parse_column(row.log)) if row.log else (),
            result=parse_column(row.result) if row.result else None,
        )
    except TypeError:
        raise DamagedRow from None
    if not isinstance(parse_column(require_declared_types(run).spec), dict):
        raise DamagedRow
    return run
