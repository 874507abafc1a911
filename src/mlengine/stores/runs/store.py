"""The records of runs: the truth about them, whatever the queue says.

One run of a model line at a time: a partial unique index lets one queued or running row in, so
that inserting it is the claim. Whoever runs it holds a lease and renews it; an expired lease reads
as `lost`, and is written so by whoever reads it first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, Select, Update, func, select
from sqlalchemy.exc import IntegrityError

from mlengine.core.line_names import MODEL_LINE
from mlengine.core.pagination import Page
from mlengine.core.runs.progress import Progress
from mlengine.core.runs.run import ENDED_STATES, LIVE_STATES, Run
from mlengine.errors import (
    IdempotencyKeyReused,
    LeaseLost,
    RunNotCancellable,
    RunNotFound,
    TrainingInProgress,
)
from mlengine.stores.database.engine import reading, writing
from mlengine.stores.database.pages import read_page
from mlengine.stores.database.tables import runs
from mlengine.stores.runs import rows
from mlengine.stores.runs.rows import NewRun, newest_first, update_run

_LIVE = runs.c.state.in_(LIVE_STATES)


@dataclass(frozen=True)
class RunStore:
    """The runs of a line, and any by its id; every method raises DatabaseUnavailable."""

    engine: Engine
    line: str = MODEL_LINE

    def create(self, new: NewRun, *, now: datetime) -> Run:
        """Insert the queued run, or find the one that its idempotency key stands for.

        Of any number of racing processes one succeeds. Raises TrainingInProgress, which names the
        run that is queued or running, and IdempotencyKeyReused where the key came with another
        body.
        """
        try:
            with writing(self.engine) as connection:
                rows.mark_overdue_as_lost(connection, now)
                earlier = _by_key(connection, new)
                if earlier is None:
                    rows.insert_run(connection, replace(new, model=self.line), now=now)
        except IntegrityError as error:  # somebody else inserted since we looked
            with reading(self.engine) as connection:
                earlier = _by_key(connection, new)
            if earlier is None:
                # The newest run is the one that was in the way, even if it has ended since.
                newest = self._read(self._newest_first().limit(1))[0]
                raise TrainingInProgress(newest.run_id) from error
        return self.get(earlier or new.run_id, now=now)

    def start(self, run_id: str, *, now: datetime, lease_seconds: float) -> bool:
        """Turn a queued run into a running one with a lease; False when it is not queued."""
        started = {"state": "running", "started_at": now, "lease_until": _until(now, lease_seconds)}
        query = update_run(**started).where(runs.c.run_id == run_id, runs.c.state == "queued")
        return self._update_one(query)

    def renew(
        self,
        run_id: str,
        *,
        now: datetime,
        lease_seconds: float,
        progress: Progress | None = None,
        log: Sequence[str] | None = None,
    ) -> None:
        """Prolong the lease, note progress and log; raises LeaseLost once it has expired.

        Publishing is fenced by one more renewal right before it, at the stage PUBLISHING: nobody
        can claim a run within the `lease_seconds` that follow, nor cancel this one.
        """
        query = update_run(lease_until=_until(now, lease_seconds))
        if progress is not None:
            publishing = progress.stage == Progress.PUBLISHING
            query = query.values(progress=rows.to_json(asdict(progress)), publishing=publishing)
        if log is not None:
            query = query.values(log=rows.to_json(list(log)))
        if not self._update_one(query.where(_leased(run_id, now))):
            raise LeaseLost(run_id)

    def holds_lease(self, run_id: str, *, now: datetime) -> bool:
        """Whether the run is running on a lease that holds at `now`; only reads."""
        query = select(runs.c.run_id).where(_leased(run_id, now))
        with reading(self.engine) as connection:
            return connection.execute(query).first() is not None

    def finish(
        self,
        run_id: str,
        *,
        state: str,
        now: datetime,
        version: str | None = None,
        error: str | None = None,
        result: Mapping[str, object] | None = None,
        log: Sequence[str] | None = None,
    ) -> None:
        """End a queued or running run with one of ENDED_STATES, and why it failed if it did.

        Raises LeaseLost when it has ended already.
        """
        if state not in ENDED_STATES:
            raise ValueError(f"{state!r} ends no run")
        values: dict[str, object] = {"version": version}
        if result is not None:
            values["result"] = rows.to_json(result)
        if state == "succeeded":
            values["progress"] = rows.to_json(asdict(Progress("done", 100.0)))
        if log is not None:
            values["log"] = rows.to_json(list(log))
        with writing(self.engine) as connection:
            if not rows.end_run(
                connection, run_id, _LIVE, state, now=now, error=error, values=values
            ):
                raise LeaseLost(run_id)

    def fail_not_enqueued(self, run_id: str, *, now: datetime, error: str) -> None:
        """Let a run fail that was never queued, and free its idempotency key for another try."""
        queued = runs.c.state == "queued"
        freed = {"idempotency_key": None, "body_hash": None}
        with writing(self.engine) as connection:
            rows.end_run(connection, run_id, queued, "failed", now=now, error=error, values=freed)

    def cancel(self, run_id: str, *, actor: str, now: datetime) -> None:
        """Write `cancelled`, after which nothing can be published for the run.

        Cancelling twice is one cancellation. Raises RunNotFound, and RunNotCancellable for a run
        that has ended otherwise or is past the last point of return.
        """
        with writing(self.engine) as connection:
            rows.mark_overdue_as_lost(connection, now)
            where, by = _LIVE & ~runs.c.publishing, f"cancelled by {actor}"
            if rows.end_run(connection, run_id, where, "cancelled", now=now, error=by, actor=actor):
                return
        run = self.get(run_id, now=now)
        if run.state != "cancelled":
            raise RunNotCancellable(run_id, "publishing" if run.unfinished else run.state)

    def get(self, run_id: str, *, now: datetime) -> Run:
        """The run as it stands at `now`; raises RunNotFound."""
        run = self._first(newest_first().where(runs.c.run_id == run_id), now)
        if run is None:
            raise RunNotFound(run_id)
        return run

    def newest(self, *, now: datetime) -> Run | None:
        """The line's run that was claimed last, as it stands at `now`."""
        return self._first(self._newest_first(), now)

    def live_run_of(self, line: str) -> str | None:
        """The id of the run of a line that is queued or running, as it was written last."""
        with reading(self.engine) as connection:
            return rows.live_run_id(connection, line)

    def page(
        self, *, limit: int, cursor: str | None, state: str | None, now: datetime
    ) -> Page[Run]:
        """At most `limit` runs of the line as they stand at `now`.

        Raises InvalidRequest on a bad cursor.
        """
        self.mark_overdue_as_lost(now=now)
        query = select(runs).where(runs.c.model == self.line)
        if state is not None:
            query = query.where(runs.c.state == state)
        return read_page(
            self.engine, query, rows.run_from_row, seq=runs.c.seq, limit=limit, cursor=cursor
        )

    def queued(self) -> list[Run]:
        """The runs of all lines that wait for a worker, oldest first."""
        return self._read(newest_first().where(runs.c.state == "queued"))[::-1]

    def mark_overdue_as_lost(self, *, now: datetime) -> int:
        """Write `lost` on each running run whose lease has expired; returns how many."""
        if not any(run.overdue(now) for run in self._read(newest_first().where(_LIVE))):
            return 0  # so that reading waits for no writer
        with writing(self.engine) as connection:
            return rows.mark_overdue_as_lost(connection, now)

    def mark_running_as_lost(self, *, now: datetime) -> int:
        """Write `lost` on each running run, whatever its lease; returns how many.

        For whoever knows that no process of a platform is alive.
        """
        error = "the platform was stopped meanwhile"
        with writing(self.engine) as connection:
            return rows.mark_as_lost(connection, runs.c.state == "running", now, error)

    def count_by_state(self) -> dict[str, int]:
        """How many runs are in each state, as it was written last."""
        query = select(runs.c.state, func.count().label("runs")).group_by(runs.c.state)
        with reading(self.engine) as connection:
            return {row.state: row.runs for row in connection.execute(query)}

    def unfinished_ids(self) -> frozenset[str]:
        """The ids of the runs of all lines that are queued or running."""
        return frozenset(run.run_id for run in self._read(newest_first().where(_LIVE)))

    def _newest_first(self) -> Select[tuple[object, ...]]:
        return newest_first().where(runs.c.model == self.line)

    def _first(self, query: Select[tuple[object, ...]], now: datetime) -> Run | None:
        """As it stands at `now`."""
        run = next(iter(self._read(query.limit(1))), None)
        if run is not None and run.overdue(now):
            self.mark_overdue_as_lost(now=now)
            run = next(iter(self._read(query.limit(1))), None)
        return run

    def _read(self, query: Select[tuple[object, ...]]) -> list[Run]:
        with reading(self.engine) as connection:
            return [rows.run_from_row(row) for row in connection.execute(query)]

    def _update_one(self, query: Update) -> bool:
        with writing(self.engine) as connection:
            return connection.execute(query).rowcount == 1


def _leased(run_id: str, now: datetime) -> ColumnElement[bool]:
    """The run, if it is running on a lease that holds at `now`."""
    return (runs.c.run_id == run_id) & (runs.c.state == "running") & (runs.c.lease_until > now)


def _by_key(connection: Connection, new: NewRun) -> str | None:
    """The id of the run that was asked for under the same key; raises IdempotencyKeyReused."""
    if new.idempotency_key is None:
        return None
    query = select(runs).where(runs.c.idempotency_key == new.idempotency_key)
    earlier = connection.execute(query).first()
    if earlier is not None and earlier.body_hash != new.body_hash:
        raise IdempotencyKeyReused
    return None if earlier is None else str(earlier.run_id)


def _until(now: datetime, lease_seconds: float) -> datetime:
    return now + timedelta(seconds=lease_seconds)
