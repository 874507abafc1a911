"""The records of trainings: the truth about them, whatever the queue says.

One training at a time: a partial unique index lets one queued or running row in, so that
inserting it is the claim. Whoever runs it holds a lease and renews it; an expired lease reads
as `lost`, and is written so by whoever reads it first.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson
from sqlalchemy import ColumnElement, Connection, Engine, Select, Update, select, update
from sqlalchemy import Row as SqlRow
from sqlalchemy.exc import IntegrityError

from mlengine.core.progress import Progress
from mlengine.core.run import ENDED_STATES, LIVE_STATES, Run
from mlengine.errors import LeaseLost, RunNotFound, TrainingInProgress
from mlengine.stores.database import reading, writing
from mlengine.stores.tables import runs

MODEL_LINE: Final = "main"
_LIVE = runs.c.state.in_(LIVE_STATES)


@dataclass(frozen=True)
class RunStore:
    """The table `runs`; every method raises AuditUnavailable when it can't be used."""

    engine: Engine

    def claim(
        self, run_id: str, *, spec: str, actor: str, request_id: str | None, now: datetime
    ) -> Run:
        """Insert the queued run; of any number of racing processes one succeeds.

        `spec` is the JSON text that the worker will read.
        Raises TrainingInProgress, which names the run that is queued or running.
        """
        row = {
            "run_id": run_id,
            "model": MODEL_LINE,
            "state": "queued",
            "spec": spec,
            "actor": actor,
            "request_id": request_id,
            "queued_at": now,
        }
        try:
            with writing(self.engine) as connection:
                _expire(connection, now)
                connection.execute(runs.insert().values(row))
        except IntegrityError as error:
            # The newest run is the one that was in the way, even if it has ended since.
            raise TrainingInProgress(self._all(_newest_first().limit(1))[0].run_id) from error
        return self.get(run_id, now=now)

    def start(self, run_id: str, *, now: datetime, lease_seconds: float) -> bool:
        """Turn a queued run into a running one with a lease; False when it is not queued."""
        return self._change(
            update(runs)
            .where(runs.c.run_id == run_id, runs.c.state == "queued")
            .values(state="running", started_at=now, lease_until=_until(now, lease_seconds))
        )

    def renew(
        self,
        run_id: str,
        *,
        now: datetime,
        lease_seconds: float,
        progress: Progress | None = None,
    ) -> None:
        """Prolong the lease, and note the progress; raises LeaseLost once it has expired.

        Publishing is fenced by one more renewal right before it: nobody else can claim a
        training within the `lease_seconds` that follow.
        """
        query = (
            update(runs)
            .where(runs.c.run_id == run_id, runs.c.state == "running", runs.c.lease_until > now)
            .values(lease_until=_until(now, lease_seconds))
        )
        if progress is not None:
            query = query.values(progress=orjson.dumps(asdict(progress)).decode())
        if not self._change(query):
            raise LeaseLost(run_id)

    def finish(
        self,
        run_id: str,
        *,
        state: str,
        now: datetime,
        version: str | None = None,
        error: str | None = None,
    ) -> None:
        """End a queued or running run; raises LeaseLost when it has ended already.

        `state` is one of ENDED_STATES; `error` is the one sentence that says why it failed.
        """
        if state not in ENDED_STATES:
            raise ValueError(f"{state!r} ends no run")
        done = self._change(
            update(runs)
            .where(runs.c.run_id == run_id, _LIVE)
            .values(state=state, ended_at=now, lease_until=None, version=version, error=error)
        )
        if not done:
            raise LeaseLost(run_id)

    def get(self, run_id: str, *, now: datetime) -> Run:
        """The run as it stands at `now`; raises RunNotFound."""
        found = self._as_of(_newest_first().where(runs.c.run_id == run_id), now)
        if found is None:
            raise RunNotFound(run_id)
        return found

    def newest(self, *, now: datetime) -> Run | None:
        """The run that was claimed last, as it stands at `now`."""
        return self._as_of(_newest_first().limit(1), now)

    def queued(self) -> list[Run]:
        """The runs that wait for a worker, oldest first."""
        return self._all(_newest_first().where(runs.c.state == "queued"))[::-1]

    def expire(self, *, now: datetime) -> int:
        """Write `lost` on each running run whose lease has expired; returns how many."""
        with writing(self.engine) as connection:
            return _expire(connection, now)

    def abandon_all(self, *, now: datetime) -> int:
        """Write `lost` on each running run, whatever its lease; returns how many.

        For whoever knows that no process of a platform is alive.
        """
        with writing(self.engine) as connection:
            return _lose(
                connection, runs.c.state == "running", now, "the platform was stopped meanwhile"
            )

    def live(self) -> frozenset[str]:
        """The ids of the runs that are queued or running."""
        return frozenset(run.run_id for run in self._all(_newest_first().where(_LIVE)))

    def _as_of(self, query: Select[tuple[object, ...]], now: datetime) -> Run | None:
        found = self._all(query)
        if any(run.overdue(now) for run in found):
            self.expire(now=now)
            found = self._all(query)
        return found[0] if found else None

    def _all(self, query: Select[tuple[object, ...]]) -> list[Run]:
        with reading(self.engine) as connection:
            return [_run(row) for row in connection.execute(query)]

    def _change(self, query: Update) -> bool:
        with writing(self.engine) as connection:
            return connection.execute(query).rowcount == 1


def _newest_first() -> Select[tuple[object, ...]]:
    return select(runs).order_by(runs.c.seq.desc())


def _until(now: datetime, lease_seconds: float) -> datetime:
    return now + timedelta(seconds=lease_seconds)


def _expire(connection: Connection, now: datetime) -> int:
    overdue = (runs.c.state == "running") & (runs.c.lease_until <= now)
    return _lose(connection, overdue, now, "the process that ran it stopped renewing its lease")


def _lose(connection: Connection, which: ColumnElement[bool], now: datetime, error: str) -> int:
    lost = connection.execute(
        update(runs).where(which).values(state="lost", ended_at=now, lease_until=None, error=error)
    )
    return lost.rowcount


def _run(row: SqlRow[tuple[object, ...]]) -> Run:
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
