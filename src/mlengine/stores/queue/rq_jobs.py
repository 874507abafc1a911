"""The jobs of a queue as RQ keeps them; loads redis-py and RQ."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout
from redis.retry import Retry
from rq import Queue
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job, JobStatus
from rq.worker_registration import REDIS_WORKER_KEYS, WORKERS_BY_QUEUE_KEY, get_keys

from mlengine.errors import QueueUnavailable

TRAIN_TASK = "mlengine.jobs.tasks.train"
FIT_FOLDS_TASK = "mlengine.jobs.tasks.fit_folds"
SERIALIZER = "json"
_RESULT_SECONDS = 3600
_FAILURE_SECONDS = 86_400
# A live worker renews its key to the first every 2 s (busy) or 5 s (idle), and so it does with
# the execution of its job.
WORKER_KEY_SECONDS = 60
_ALIVE_SECONDS = 20
_JOB_ALIVE_SECONDS = 6
_WAITING = frozenset(
    {JobStatus.CREATED, JobStatus.QUEUED, JobStatus.STARTED, JobStatus.READY_TO_ENQUEUE}
)


@dataclass(frozen=True)
class RqJobs:
    """The jobs of the queue `name`, by one client; raises what redis-py raises."""

    client: Redis
    name: str

    def enqueue_run(self, run_id: str, *, timeout_seconds: int) -> None:
        self._enqueue(TRAIN_TASK, (run_id,), run_id, timeout_seconds)

    def enqueue_helper(self, run_id: str, helper: str, *, timeout_seconds: int) -> None:
        self._enqueue(FIT_FOLDS_TASK, (run_id, helper), helper, timeout_seconds)

    def has_job(self, job_id: str) -> bool:
        """RQ itself gives up a dead worker's job after a minute only."""
        try:
            job = Job.fetch(job_id, connection=self.client, serializer=SERIALIZER)
        except NoSuchJobError:
            return False
        if job.get_status(refresh=False) not in _WAITING:
            return False
        if self.client.lpos(self._queue.key, job_id) is not None:
            return True
        seconds, _ = self.client.time()
        return any(
            execution.last_heartbeat.timestamp() > seconds - _JOB_ALIVE_SECONDS
            for execution in self._executions(job_id)
        )

    def remove_job(self, job_id: str, *, only_waiting: bool = False) -> None:
        try:
            job = Job.fetch(job_id, connection=self.client, serializer=SERIALIZER)
            if job.worker_name and not only_waiting:
                send_stop_job_command(self.client, job_id, serializer=SERIALIZER)
            elif not job.worker_name:
                job.delete()
        except (NoSuchJobError, InvalidJobOperation):
            return  # it has ended meanwhile

    def workers(self) -> int:
        keys = get_keys(queue=self._queue)
        return sum(self.client.ttl(key) > WORKER_KEY_SECONDS - _ALIVE_SECONDS for key in keys)

    def remove_dead_workers(self) -> None:
        for key in get_keys(connection=self.client):
            pid = self.client.hget(key, "pid")
            if pid is None or not Path(f"/proc/{int(pid)}").exists():
                self.client.srem(REDIS_WORKER_KEYS, key)
                self.client.srem(WORKERS_BY_QUEUE_KEY % self.name, key)
                self.client.delete(key)

    @property
    def _queue(self) -> Queue:
        return Queue(self.name, connection=self.client, serializer=SERIALIZER)

    def _enqueue(
        self, task: str, arguments: tuple[str, ...], job_id: str, timeout_seconds: int
    ) -> None:
        self._queue.enqueue_call(
            task,
            args=arguments,
            job_id=job_id,
            timeout=timeout_seconds,
            result_ttl=_RESULT_SECONDS,
            failure_ttl=_FAILURE_SECONDS,
        )

    def _executions(self, job_id: str) -> list[Execution]:
        """What workers have begun of a job and not ended."""
        executions = []
        for execution_id in ExecutionRegistry(job_id, connection=self.client).get_execution_ids():
            with suppress(ValueError):  # it ended or expired meanwhile
                executions.append(Execution.fetch(execution_id, job_id, connection=self.client))
        return executions


@contextmanager
def translated_errors() -> Iterator[None]:
    """What redis-py raises in this block becomes QueueUnavailable."""
    try:
        yield
    except RedisTimeout as error:
        raise QueueUnavailable("it gave no answer in time") from error
    except RedisError as error:
        raise QueueUnavailable("it refuses or drops the connection") from error


def connect(url: str, *, timeout_seconds: float, retries: int) -> Redis:
    """A client that gives up soon; redis-py's own defaults wait for minutes.

    Raises QueueUnavailable when `url` isn't the address of a Redis.
    """
    try:
        return Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), retries),
        )
    except ValueError as error:
        raise QueueUnavailable(
            "its address must begin with redis://, rediss:// or unix://"
        ) from error
