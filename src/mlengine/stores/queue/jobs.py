"""The job queue: which trainings wait to be run. The truth about a run is its row, not its job."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
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
from sqlalchemy import Engine

from mlengine.errors import QueueUnavailable
from mlengine.stores.database.platform_id import read_platform_id
from mlengine.stores.queue.server import resolve_url

QUEUE_NAME = "train"
TRAIN_TASK = "mlengine.jobs.tasks.train"
SERIALIZER = "json"
_TIMEOUT_SECONDS = 0.5
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
class JobQueue:
    """A client of the queue `name()` at `url()`, asked anew each time: servers come and go.

    Every method but `ping` raises QueueUnavailable, within a second, and what `name` raises.
    """

    url: Callable[[], str]
    name: Callable[[], str] = lambda: QUEUE_NAME
    _clients: dict[str, Redis] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def enqueue_run(self, run_id: str, *, timeout_seconds: int) -> None:
        """Let a worker run the training `run_id`; asking twice is harmless, for its row decides."""
        with self._client() as client:
            self._queue(client).enqueue_call(
                TRAIN_TASK,
                args=(run_id,),
                job_id=run_id,
                timeout=timeout_seconds,
                result_ttl=_RESULT_SECONDS,
                failure_ttl=_FAILURE_SECONDS,
            )

    def has_job(self, run_id: str) -> bool:
        """Whether a job of that run waits, or a worker that shows signs of life has it.

        RQ itself gives up a dead worker's job after a minute only.
        """
        with self._client() as client:
            try:
                job = Job.fetch(run_id, connection=client, serializer=SERIALIZER)
            except NoSuchJobError:
                return False
            if job.get_status(refresh=False) not in _WAITING:
                return False
            if client.lpos(self._queue(client).key, run_id) is not None:
                return True
            seconds, _ = client.time()
            return any(
                execution.last_heartbeat.timestamp() > seconds - _JOB_ALIVE_SECONDS
                for execution in _executions(client, run_id)
            )

    def remove_job(self, run_id: str) -> None:
        """Take the run's job out of the queue, or have the worker that runs it kill it."""
        with self._client() as client:
            try:
                job = Job.fetch(run_id, connection=client, serializer=SERIALIZER)
                if job.worker_name:
                    send_stop_job_command(client, run_id, serializer=SERIALIZER)
                else:
                    job.delete()
            except (NoSuchJobError, InvalidJobOperation):
                return  # it has ended meanwhile

    def workers(self) -> int:
        """How many workers of this queue gave a sign of life within twenty seconds."""
        with self._client() as client:
            keys = get_keys(queue=self._queue(client))
            return sum(client.ttl(key) > WORKER_KEY_SECONDS - _ALIVE_SECONDS for key in keys)

    def remove_dead_workers(self) -> None:
        """Strike off workers whose process is gone; for a queue of this machine alone."""
        with self._client() as client:
            for key in get_keys(connection=client):
                pid = client.hget(key, "pid")
                if pid is None or not Path(f"/proc/{int(pid)}").exists():
                    client.srem(REDIS_WORKER_KEYS, key)
                    client.srem(WORKERS_BY_QUEUE_KEY % self.name(), key)
                    client.delete(key)

    def ping(self) -> bool:
        try:
            with self._client() as client:
                return bool(client.ping())
        except QueueUnavailable:
            return False

    def server_time(self) -> float:
        """The server's clock, in seconds since the epoch."""
        with self._client() as client:
            seconds, microseconds = client.time()
            return int(seconds) + int(microseconds) / 1e6

    def _queue(self, client: Redis) -> Queue:
        return Queue(self.name(), connection=client, serializer=SERIALIZER)

    @contextmanager
    def _client(self) -> Iterator[Redis]:
        try:
            yield self._cached_client(self.url())
        except RedisTimeout as error:
            raise QueueUnavailable("it gave no answer in time") from error
        except RedisError as error:
            raise QueueUnavailable("it refuses or drops the connection") from error

    def _cached_client(self, url: str) -> Redis:
        with self._lock:
            if url not in self._clients:
                self._clients[url] = connect(url, timeout_seconds=_TIMEOUT_SECONDS, retries=1)
            return self._clients[url]


def open_queue(redis_url: str | None, artifacts_dir: Path, database: Engine) -> JobQueue:
    """The platform's queue; at a server that others may use, too, one of its own name."""

    @cache
    def own_name() -> str:
        return f"{QUEUE_NAME}-{read_platform_id(database)}"

    return JobQueue(
        lambda: resolve_url(redis_url, artifacts_dir),
        own_name if redis_url else lambda: QUEUE_NAME,
    )


def _executions(client: Redis, run_id: str) -> list[Execution]:
    """What workers have begun of the run's job and not ended."""
    executions = []
    for execution_id in ExecutionRegistry(run_id, connection=client).get_execution_ids():
        with suppress(ValueError):  # it ended or expired meanwhile
            executions.append(Execution.fetch(execution_id, run_id, connection=client))
    return executions


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
