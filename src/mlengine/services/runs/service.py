"""Requesting runs, reading and cancelling them; loads neither Polars nor LightGBM.

The run row is the truth. The insert of the row is the claim, the queue only carries its id.
"""

import dataclasses
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from mlengine.core.line_names import MODEL_LINE
from mlengine.core.pagination import Page
from mlengine.core.runs.run import Run
from mlengine.core.training.params import invalid_label_reason
from mlengine.core.training.spec import TrainSpec
from mlengine.errors import DatabaseUnavailable, InvalidRequest, NoUnfinishedRun, QueueUnavailable
from mlengine.stores.queue.jobs import JobQueue
from mlengine.stores.runs.rows import NewRun, to_json
from mlengine.stores.runs.store import RunStore

log = logging.getLogger(__name__)

PROCESS_DIED = "the training process died"


@dataclass(frozen=True)
class RunRequest:
    """Who asks for a run, and when; whoever repeats an `idempotency_key` gets the same run."""

    run_id: str
    actor: str
    request_id: str
    now: datetime
    idempotency_key: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True)
class RunService:
    """The trainings of the line of `store`; `timeout_seconds` is how long one run may take.

    `engine_refusals` says of each engine that this platform does not have what it needs.
    """

    store: RunStore
    queue: JobQueue
    defaults: TrainSpec
    timeout_seconds: int
    engine_refusals: Mapping[str, str] = field(default_factory=dict)

    def spec(self, overrides: Mapping[str, object]) -> TrainSpec:
        """The configured recipe with `overrides`; the door has checked their types.

        Raises InvalidRequest for what doesn't go together.
        """
        spec = dataclasses.replace(self.defaults, **overrides)  # type: ignore[arg-type]
        refusals = {
            "label": invalid_label_reason(spec),
            "engine": self.engine_refusals.get(spec.engine),
        }
        if refused := {name: [why] for name, why in refusals.items() if why}:
            raise InvalidRequest(refused)
        return spec

    def default_spec_text(self, *, activate: str | None = None) -> str:
        """The configured recipe as a run records it, with this policy in place of its own."""
        spec = dataclasses.replace(self.defaults, activate=activate) if activate else self.defaults
        return to_json(spec.to_dict())

    def request_training(self, overrides: Mapping[str, object], request: RunRequest) -> Run:
        """Claim the line's one live run and put it in the queue; its recipe is `spec`.

        With an `idempotency_key`, the same overrides get the same run, whatever became of it.
        Raises InvalidRequest; TrainingInProgress with the live run's id; IdempotencyKeyReused;
        QueueUnavailable, and then the run is `failed` and its key free again.
        """
        return self._claim("train", self.spec(overrides).to_dict(), overrides, request)

    def request_reproduction(self, version: str, request: RunRequest) -> Run:
        """Request a run that trains `version` again and compares; raises as `request_training`."""
        spec = {"version": version}
        return self._claim("reproduce", spec, spec, request)

    def _claim(
        self,
        kind: str,
        spec: Mapping[str, object],
        body: Mapping[str, object],
        request: RunRequest,
    ) -> Run:
        new = NewRun(
            run_id=request.run_id,
            kind=kind,
            spec=to_json(spec),
            actor=request.actor,
            request_id=request.request_id,
            idempotency_key=request.idempotency_key,
            body_hash=_digest(kind, body, self.store.line),
            traceparent=request.traceparent,
        )
        run = self.store.create(new, now=request.now)
        if run.run_id != new.run_id:
            return run
        try:
            self.enqueue(run.run_id)
        except QueueUnavailable as refusal:
            self.store.fail_not_enqueued(run.run_id, now=request.now, error=str(refusal))
            raise
        return run

    def enqueue(self, run_id: str) -> None:
        """Let a worker take the run; raises QueueUnavailable."""
        self.queue.enqueue_run(run_id, timeout_seconds=self.timeout_seconds)

    def get(self, run_id: str, *, now: datetime) -> Run:
        """One run, `lost` when its lease has expired; raises RunNotFound."""
        return self.store.get(run_id, now=now)

    def status(self, run_id: str | None, *, now: datetime) -> Run | None:
        """The run `run_id`, or the newest; raises RunNotFound."""
        return self.store.get(run_id, now=now) if run_id else self.store.newest(now=now)

    def page(
        self, *, limit: int, cursor: str | None, state: str | None, now: datetime
    ) -> Page[Run]:
        """Runs, newest first; raises InvalidRequest on a bad cursor."""
        return self.store.page(limit=limit, cursor=cursor, state=state, now=now)

    def cancel(self, run_id: str | None, *, actor: str, now: datetime) -> Run:
        """Cancel the run `run_id`, or the live one.

        The row comes first, so that nothing is published any more; the worker stops the process,
        which notices by itself within a second where the queue is down. Raises NoUnfinishedRun,
        RunNotFound or RunNotCancellable.
        """
        if run_id is None:
            newest = self.store.newest(now=now)
            if newest is None or not newest.unfinished:
                raise NoUnfinishedRun
            run_id = newest.run_id
        self.store.cancel(run_id, actor=actor, now=now)
        try:
            self.queue.remove_job(run_id)
        except QueueUnavailable as down:
            log.warning("job not withdrawn", extra={"run_id": run_id, "reason": str(down)})
        return self.get(run_id, now=now)

    def workers(self) -> int | None:
        """How many training workers are alive, None when the queue can't say."""
        try:
            return self.queue.workers()
        except (DatabaseUnavailable, QueueUnavailable):
            return None

    def mark_running_as_lost(self, *, now: datetime) -> None:
        """Write `lost` on every running run; for callers that know that no training is alive."""
        count = self.store.mark_running_as_lost(now=now)
        if count:
            log.warning("runs of a stopped platform are lost", extra={"runs": count})

    def fail_unfinished(
        self,
        run_id: str,
        *,
        died: bool,
        now: datetime,
        reason: str = PROCESS_DIED,
        version: str | None = None,
    ) -> None:
        """Write `failed` on a run whose job has ended, where the training could not write an end.

        `died`: the process that worked on it is gone, for `reason`; else a running run may be
        another process's. A run still queued would be tried for ever. `version` is what the dead
        process had published already.
        """
        run = self.get(run_id, now=now)
        if run.state == "queued" and reason != PROCESS_DIED:
            error = reason
        elif run.state == "queued":
            error = "the training process ended before it began; the worker's log says why"
        elif run.state == "running" and died:
            error = f"{reason}, after it had published {version}" if version else reason
        else:
            return
        self.store.finish(run_id, state="failed", now=now, error=error, version=version)

    def restore_missing_jobs(self, *, queued_by: datetime | None = None) -> list[str]:
        """Enqueue again each queued run whose job the queue has lost; returns their ids.

        Of those alone that were `queued_by` a moment: a run is written before its job is.
        """
        waiting = [
            run for run in self.store.queued() if queued_by is None or run.queued_at <= queued_by
        ]
        lost = [run for run in waiting if not self.queue.has_job(run.run_id)]
        for run in lost:
            self.enqueue(run.run_id)
            log.warning("queued run enqueued again", extra={"run_id": run.run_id})
        return [run.run_id for run in lost]


def _digest(kind: str, body: Mapping[str, object], line: str) -> str:
    """The same for the same request, in whatever order its fields came."""
    of_line = [] if line == MODEL_LINE else [line]
    content = orjson.dumps([kind, body, *of_line], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()
