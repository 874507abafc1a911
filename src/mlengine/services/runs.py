"""Asking for training runs and reading them; loads neither Polars nor LightGBM.

The run row is the truth. The insert of the row is the claim, the queue only carries its id.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson

from mlengine.core.run import Run
from mlengine.core.train_spec import TrainSpec
from mlengine.errors import QueueUnavailable
from mlengine.stores.job_queue import JobQueue
from mlengine.stores.runs import RunStore

log = logging.getLogger(__name__)

JOB_TIMEOUT_SECONDS = 6 * 3600


@dataclass(frozen=True)
class RunService:
    runs: RunStore
    queue: JobQueue
    defaults: TrainSpec

    def spec(self, overrides: Mapping[str, object]) -> TrainSpec:
        """The configured recipe with `overrides`; the door has checked their types."""
        return dataclasses.replace(self.defaults, **overrides)  # type: ignore[arg-type]

    def request(
        self, spec: TrainSpec, *, actor: str, request_id: str, run_id: str, now: datetime
    ) -> Run:
        """Claim the one live run and put it in the queue.

        Raises TrainingInProgress with the live run's id; QueueUnavailable, and then the run is
        `failed`.
        """
        recipe = orjson.dumps(spec.to_dict()).decode()
        self.runs.claim(run_id, spec=recipe, actor=actor, request_id=request_id, now=now)
        try:
            self.queue.enqueue_training(run_id, timeout_seconds=JOB_TIMEOUT_SECONDS)
        except QueueUnavailable as refusal:
            self.runs.finish(run_id, state="failed", now=now, error=str(refusal))
            raise
        return self.get(run_id, now=now)

    def get(self, run_id: str, *, now: datetime) -> Run:
        """One run, `lost` when its lease has expired; raises RunNotFound."""
        return self.runs.get(run_id, now=now)

    def status(self, run_id: str | None, *, now: datetime) -> Run | None:
        """The run asked for, or the newest; raises RunNotFound."""
        return self.runs.get(run_id, now=now) if run_id else self.runs.newest(now=now)

    def workers(self) -> int | None:
        """How many training workers are alive, None when the queue can't say."""
        try:
            return self.queue.workers()
        except QueueUnavailable:
            return None

    def abandon_all(self, *, now: datetime) -> None:
        """Let every running run be `lost`; for whoever knows that no training is alive."""
        count = self.runs.abandon_all(now=now)
        if count:
            log.warning("runs of a stopped platform are lost", extra={"runs": count})

    def settle(self, run_id: str, *, died: bool, now: datetime) -> None:
        """Let a run end whose job has ended, where the training itself could not write that.

        `died` says that the process which worked on it is gone; without that, a run that is
        running may be another process's. A run still queued would be tried for ever.
        """
        run = self.get(run_id, now=now)
        if run.state == "queued":
            error = "the training process ended before it began; the worker's log says why"
        elif run.state == "running" and died:
            error = "the training process died"
        else:
            return
        self.runs.finish(run_id, state="failed", now=now, error=error)

    def resume_queued(self) -> list[str]:
        """Enqueue again each queued run whose job the queue has lost; returns their ids."""
        lost = [run for run in self.runs.queued() if not self.queue.has_job(run.run_id)]
        for run in lost:
            self.queue.enqueue_training(run.run_id, timeout_seconds=JOB_TIMEOUT_SECONDS)
            log.warning("queued run enqueued again", extra={"run_id": run.run_id})
        return [run.run_id for run in lost]
