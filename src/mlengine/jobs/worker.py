"""The training worker: one job at a time, each in a process of its own (the work horse)."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as QueueGone
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as QueueSilent
from rq import Queue, SpawnWorker
from rq.executions import Execution
from rq.job import Job

from mlengine import bootstrap, config, logs
from mlengine.bootstrap import Control
from mlengine.config import Settings
from mlengine.errors import MlengineError, QueueUnavailable
from mlengine.jobs.allowed import AllowListedJob
from mlengine.stores import versions
from mlengine.stores.job_queue import QUEUE_NAME, SERIALIZER, WORKER_KEY_SECONDS, connect
from mlengine.stores.queue_server import resolve_url

log = logging.getLogger(__name__)
_SECONDS_BETWEEN_SWEEPS = 10
_SECONDS_BETWEEN_HEARTBEATS = 5
# RQ waits for a job for worker_ttl - 15 seconds, then sweeps.
_WORKER_TTL_SECONDS = _SECONDS_BETWEEN_SWEEPS + 15
_SOCKET_TIMEOUT_SECONDS = _WORKER_TTL_SECONDS


class TrainWorker(SpawnWorker):
    """An RQ worker whose work horse dies with it and holds no password on its command line."""

    job_class = AllowListedJob
    max_connection_wait_time = 5.0
    upkeep: Upkeep | None = None
    _died: str | None = None

    def execute_job(self, job: Job, queue: Queue) -> None:
        super().execute_job(job, queue)
        if self.upkeep is not None:
            self.upkeep.settle(job.id, died=self._died == job.id)

    def heartbeat(self, _timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """As RQ's, but renewed to one age: by it `JobQueue.workers` knows who is alive."""
        super().heartbeat(WORKER_KEY_SECONDS, pipeline)

    def handle_work_horse_killed(self, job: Job, *_: object) -> None:
        """Called when the horse ended and could not say why; RQ logs the signal itself."""
        self._died = job.id

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """One line in the log: a failure that was foreseen needs no traceback."""
        error = exc_info[1]
        if isinstance(error, MlengineError):
            facts = {"job_id": job.id, "code": error.code, "reason": str(error)}
            log.error("training failed", extra=facts)
        else:
            log.error("training crashed", extra={"job_id": job.id}, exc_info=error)

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Spawn `mlengine.jobs.horse`, which reads the queue's address from its environment."""
        execution = self.execution
        assert execution is not None  # noqa: S101 - RQ made it just before
        ids = [self.name, queue.name, job.id, execution.id, str(os.getpid())]
        argv = [sys.executable, "-m", "mlengine.jobs.horse", *ids]
        environment = config.environment_for_child({"RQ_WORKER_ID": self.name, "RQ_JOB_ID": job.id})
        self._horse_pid = os.posix_spawn(sys.executable, argv, environment, setpgroup=0)

    def run_maintenance_tasks(self) -> None:
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
        if self.upkeep is not None:
            self.upkeep.sweep()

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """A queue server that restarts doesn't end the training: the run's row is the truth."""
        try:
            super().maintain_heartbeats(job, execution)
        except (QueueGone, QueueSilent):
            log.warning("queue_server_gone_while_training", extra={"job_id": job.id})

    def _dump_worker_config(self) -> bytes:
        """RQ's own horse would be handed this as a pickle; ours is handed ids."""
        return b""


def run_worker(settings: Settings) -> None:
    """Work until told to stop; queued runs without a job are enqueued again on the way.

    SIGTERM ends it after the running job; a second one, a second later, kills the job.
    Raises QueueUnavailable and the other errors of a start.
    """
    logs.configure(settings.log_level, json=settings.json_logs)
    control = bootstrap.build_control(settings)
    try:
        if not settings.redis_url:
            control.runs.queue.forget_dead_workers()
        worker = make_worker(resolve_url(settings.redis_url, settings.artifacts_dir))
        worker.upkeep = Upkeep(control, lambda: datetime.now(UTC))
        worker.work(logging_level="WARNING")
    except RedisError as error:
        raise QueueUnavailable("it refuses or drops the connection") from error


def make_worker(url: str, **options: Any) -> TrainWorker:
    """A worker of the training queue at `url`."""
    return TrainWorker(
        [QUEUE_NAME],
        connection=queue_connection(url),
        serializer=SERIALIZER,
        worker_ttl=_WORKER_TTL_SECONDS,
        job_monitoring_interval=_SECONDS_BETWEEN_HEARTBEATS,
        maintenance_interval=_SECONDS_BETWEEN_SWEEPS,
        **options,
    )


def queue_connection(url: str) -> Redis:
    return connect(url, timeout_seconds=_SOCKET_TIMEOUT_SECONDS, retries=1)


@dataclass(frozen=True)
class Upkeep:
    """What keeps the run rows honest; a failure is logged, the next try is ten seconds away."""

    control: Control
    clock: Callable[[], datetime]

    def sweep(self) -> None:
        """Enqueue again what the queue has lost, clear away what killed trainings left."""
        with self._logged():
            self.control.runs.resume_queued()
        with self._logged():
            models = self.control.active.path.parent
            half_written = versions.staged(models)  # first: a live run's row was there before it
            if half_written:
                versions.discard(models, half_written - self.control.runs.runs.live())
        with self._logged():
            self.control.retention.keep_up(now=self.clock())

    def settle(self, run_id: str, *, died: bool) -> None:
        """Let a run end with its job."""
        with self._logged():
            self.control.runs.settle(run_id, died=died, now=self.clock())

    @contextmanager
    def _logged(self) -> Iterator[None]:
        try:
            yield
        except MlengineError as error:
            log.warning("upkeep_of_runs_failed", extra={"reason": str(error)})
