"""A row of `runs` read and written: what every change of one shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import orjson
from sqlalchemy import ColumnElement, Connection, Select, Update, select, update
from sqlalchemy import Row as SqlRow

from mlengine.core.monitoring.event import Event, EventKind
from mlengine.core.runs.progress import Progress
from mlengine.core.runs.run import Run
from mlengine.stores.database.events import insert_event
from mlengine.stores.database.tables import runs

# asdict keeps the order of the fields, so that the stage comes first.
PUBLISHING = f'{{"stage":"{Progress.PUBLISHING}"%'


@dataclass(frozen=True, kw_only=True)
class Claim:
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


def newest_first() -> Select[tuple[object, ...]]:
    return select(runs).order_by(runs.c.seq.desc())


def changed(**values: object) -> Update:
    """An UPDATE that counts itself in `sequence`."""
    return update(runs).values(sequence=runs.c.sequence + 1, **values)


def insert_claim(connection: Connection, claim: Claim, *, model: str, now: datetime) -> None:
    """Raises IntegrityError while another run lives, or for a key that is taken."""
    row = {**asdict(claim), "model": model, "state": "queued", "queued_at": now}
    connection.execute(runs.insert().values(row))


def expire(connection: Connection, now: datetime) -> int:
    """Write `lost` on each running run whose lease has expired; returns how many."""
    overdue = (runs.c.state == "running") & (runs.c.lease_until <= now)
    return lose(connection, overdue, now, "the process that ran it stopped renewing its lease")


def lose(connection: Connection, which: ColumnElement[bool], now: datetime, error: str) -> int:
    """Write `lost` on the runs for which `which` holds, and the event of each."""
    found = connection.scalars(select(runs.c.run_id).where(which)).all()
    for run_id in found:
        end(connection, runs.c.run_id == run_id, "lost", now=now, error=error)
        write_event(connection, "train_lost", run_id, at=now, actor=None, reason=error)
    return len(found)


def end(
    connection: Connection,
    which: ColumnElement[bool],
    state: str,
    *,
    now: datetime,
    **values: object,
) -> bool:
    """End the one run for which `which` holds; False where there is none."""
    query = changed(state=state, ended_at=now, lease_until=None, **values).where(which)
    return connection.execute(query).rowcount == 1


def write_event(
    connection: Connection,
    kind: EventKind,
    run_id: str,
    *,
    at: datetime,
    actor: str | None,
    **details: object,
) -> None:
    """What happened to a run, in the transaction that changes it."""
    facts = {"run_id": run_id, **details}
    insert_event(connection, Event(kind=kind, at=at, version=None, actor=actor, details=facts))


def progress_text(progress: Progress) -> str:
    return orjson.dumps(asdict(progress)).decode()


def log_text(lines: Sequence[str]) -> str:
    return orjson.dumps(list(lines)).decode()


def result_text(result: Mapping[str, object] | None) -> str | None:
    return None if result is None else orjson.dumps(result).decode()


def run_of(row: SqlRow[tuple[object, ...]]) -> Run:
    return Run(
        run_id=row.run_id,
        seq=row.seq,
        state=row.state,
        spec=row.spec,
        actor=row.actor,
        request_id=row.request_id,
        queued_at=row.queued_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        lease_until=row.lease_until,
        progress=Progress(**orjson.loads(row.progress)) if row.progress else None,
        version=row.version,
        error=row.error,
        kind=row.kind,
        sequence=row.sequence,
        log=tuple(orjson.loads(row.log)) if row.log else (),
        result=orjson.loads(row.result) if row.result else None,
        idempotency_key=row.idempotency_key,
        body_hash=row.body_hash,
    )
