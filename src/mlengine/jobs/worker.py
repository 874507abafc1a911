"""The training worker: one job at a time, each in its own process (the work horse)."""

import logging
import os
import signal
import sys
from types import FrameType
from typing import Any

from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq import Queue, SpawnWorker
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty
from rq.worker_registration import register

from mlengine import __version__, config
from mlengine.bootstrap.control import build_control
from mlengine.config import Settings
from mlengine.config.inspection import redis_url_suffix
from mlengine.config.logging import configure_logs
from mlengine.config.redaction import redact
from mlengine.errors import LeaseLost, MlengineError, QueueUnavailable, TrainingFailed
from mlengine.jobs.allow_listed_job import AllowListedJob
from mlengine.jobs.tickers import ticking
from mlengine.logs import lifecycle
from mlengine.services.runs.fold_helpers import FoldHelpers, helped_run
from mlengine.services.runs.maintenance import RunMaintenance
from mlengine.services.runs.service import PROCESS_DIED
from mlengine.stores.database.clock import host_clock
from mlengine.stores.queue.jobs import QUEUE_NAME
from mlengine.stores.queue.rq_jobs import SERIALIZER, WORKER_KEY_SECONDS, connect
from mlengine.stores.queue.server import resolve_url
from mlengine.stores.system.terminal import has_terminal

log = logging.getLogger(__name__)
_SECONDS_BETWEEN_SWEEPS = 5
_SECONDS_BETWEEN_HEARTBEATS = 2
# For the training's own handling of its timeout, which needs Python to get a word in.
_SECONDS_OF_GRACE = 2
# RQ waits for a job for worker_ttl - 15 seconds, then sweeps.
_WORKER_TTL_SECONDS = _SECONDS_BETWEEN_SWEEPS + 15
_SOCKET_TIMEOUT_SECONDS = _WORKER_TTL_SECONDS


def timeout_reason(seconds: float) -> str:
    return f"it took longer than the {seconds:g} s of TRAIN_TIMEOUT_SECONDS"


class TrainingTimeout(UnixSignalDeathPenalty):
    """RQ's alarm; a run that takes too long ends with a reason for its owner."""

    def handle_death_penalty(self, signum: int, frame: object) -> None:
        if self._exception is JobTimeoutException:
            raise TrainingFailed(timeout_reason(self._timeout))
        super().handle_death_penalty(signum, frame)  # type: ignore[no-untyped-call]


class RunWorker(SpawnWorker):
    """An RQ worker whose work horse dies with it and holds no password on its command line."""

    job_class = AllowListedJob
    max_connection_wait_time = 5.0
    death_penalty_class = TrainingTimeout
    run_maintenance: RunMaintenance | None = None
    fold_helpers: FoldHelpers | None = None
    _horse_ended = _horse_died = False
    _end_reason = PROCESS_DIED
    begins_anew = False

    def _install_signal_handlers(self) -> None:
        """SIGHUP lets the worker end after its job, to begin anew; its terminal's end stops it."""
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]
        had_terminal = has_terminal()

        def hang_up(number: int, frame: FrameType | None) -> None:
            if had_terminal and not has_terminal():
                self.request_stop(number, frame)  # type: ignore[no-untyped-call]
            self.begins_anew = True

        signal.signal(signal.SIGHUP, hang_up)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """As RQ's; the run ends with its horse, also where the queue is gone by then."""
        self._horse_ended = self._horse_died = False
        self._end_reason = PROCESS_DIED
        try:
            super().execute_job(job, queue)
        finally:
            if self._horse_ended:
                self._clear_up_after(job)

    def _clear_up_after(self, job: Job) -> None:
        if self.run_maintenance is None or self.fold_helpers is None:
            return
        if helped_run(job.id):
            self.fold_helpers.release(job.id)
            return
        self.run_maintenance.reap(job.id, died=self._horse_died, reason=self._end_reason)
        if self._horse_died:
            self.fold_helpers.look_after()

    def wait_for_horse(self) -> tuple[int | None, int | None, Any]:
        pid, status, usage = super().wait_for_horse()
        self._horse_ended, self._horse_died = True, status != os.EX_OK
        return pid, status, usage

    def heartbeat(self, _timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """As RQ's, but renewed to one age: by it `JobQueue.workers` knows who is alive.

        A queue server that was emptied gets to know the worker again.
        """
        super().heartbeat(WORKER_KEY_SECONDS, pipeline)
        register(self, pipeline)

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """One line in the log: a failure that was foreseen needs no traceback."""
        error = exc_info[1]
        if isinstance(error, MlengineError):
            facts = {"job_id": job.id, "code": error.code, "reason": str(error)}
            if isinstance(
                error, LeaseLost
            ):  # enqueued twice, or given up for dead: its owner tells
                log.warning("training left to its owner", extra=facts)
            else:
                log.error("training failed", extra=facts)
        else:
            log.error("training crashed", extra={"job_id": job.id}, exc_info=error)

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Spawn `mlengine.jobs.work_horse`, which reads the queue's address from its variables."""
        execution = self.execution
        assert execution is not None  # noqa: S101 - RQ made it just before
        ids = [queue.name, self.name, job.id, execution.id, str(os.getpid())]
        argv = [sys.executable, "-m", "mlengine.jobs.work_horse", *ids]
        environment = config.environment_for_child({"RQ_WORKER_ID": self.name, "RQ_JOB_ID": job.id})
        self._horse_pid = os.posix_spawn(sys.executable, argv, environment, setpgroup=0)

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """As RQ's; an id that is no text ends nobody."""
        self._stop_to_begin_anew()
        try:
            return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
        except UnicodeDecodeError:
            self._forget_dequeued_ids()
            return self.dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def _forget_dequeued_ids(self) -> None:
        """Those on their way to a worker; a run that loses its job by it is enqueued again."""
        log.warning("malformed job passed over", extra={"reason": "its id is no text"})
        self.connection.delete(*(queue.intermediate_queue_key for queue in self.queues))

    def _stop_to_begin_anew(self) -> None:
        """Between two jobs only, so that none is lost."""
        if self.begins_anew:
            raise StopRequested

    def run_maintenance_tasks(self) -> None:
        self._stop_to_begin_anew()
        try:
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
        except UnicodeDecodeError:
            self._forget_dequeued_ids()
        if self.run_maintenance is not None and self.fold_helpers is not None:
            self.run_maintenance.run()
            self.fold_helpers.look_after()

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """A queue server that restarts doesn't end the training: the run's row is the truth.

        So it is the row, and the clock, that decide whether the horse is to be killed from here:
        nothing else ends one that is stuck in native code and keeps Python's lock.
        """
        self._kill_if_over(job)
        try:
            super().maintain_heartbeats(job, execution)
        except (RedisConnectionError, RedisTimeoutError):
            log.warning("queue_server_gone_while_training", extra={"job_id": job.id})

    def _kill_if_over(self, job: Job) -> None:
        """Well before RQ itself would, a minute after the timeout."""
        worked = (host_clock() - job.started_at).total_seconds() if job.started_at else 0.0
        allowed = job.timeout or 0.0  # every job has one
        if worked > allowed + _SECONDS_OF_GRACE:
            self._end_reason = timeout_reason(allowed)
            self.kill_horse()
        elif self.run_maintenance is not None and self.run_maintenance.is_over(
            helped_run(job.id) or job.id
        ):
            self.kill_horse()

    def _dump_worker_config(self) -> bytes:
        """RQ's own horse would be handed this as a pickle; ours is handed ids."""
        return b""


def run_worker(settings: Settings) -> bool:
    """Work until told to stop; queued runs without a job are enqueued again on the way.

    SIGTERM ends it after the running job; a second one, a second later, kills the job. Returns
    whether SIGHUP ended it, so that it is to begin anew. Raises QueueUnavailable and the other
    errors of a start.
    """
    configure_logs(settings)
    control = build_control(settings)
    try:
        if not settings.redis_url:
            control.queue.remove_dead_workers()
        url = resolve_url(settings.redis_url, settings.artifacts_dir)
        worker = make_worker(url, control.queue.name())
        worker.run_maintenance = control.run_maintenance
        worker.fold_helpers = control.fold_helpers
        if settings.train_first:
            control.request_first_training(now=control.clock())
        facts = {"version": __version__, "pid": os.getpid()}
        about = {"env": settings.env, "queue": control.queue.name(), "address": redact(url)}
        lifecycle.info("training worker started", extra={**facts, **about})
        try:
            with ticking(control, settings, settings.monitoring.every_seconds):
                worker.work(logging_level="WARNING")
        finally:
            anew = {"begins_anew": worker.begins_anew}
            lifecycle.info("training worker stopped", extra={**facts, **anew})
    except RedisError as error:
        reason = f"it refuses or drops the connection{redis_url_suffix(settings)}"
        raise QueueUnavailable(reason) from error
    return worker.begins_anew


def make_worker(url: str, queue: str = QUEUE_NAME, **options: Any) -> RunWorker:
    """A worker of a training queue at `url`."""
    return RunWorker(
        [queue],
        connection=connect(url, timeout_seconds=_SOCKET_TIMEOUT_SECONDS, retries=1),
        serializer=SERIALIZER,
        worker_ttl=_WORKER_TTL_SECONDS,
        job_monitoring_interval=_SECONDS_BETWEEN_HEARTBEATS,
        maintenance_interval=_SECONDS_BETWEEN_SWEEPS,
        **options,
    )
