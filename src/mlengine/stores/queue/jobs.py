"""The job queue: which trainings wait to be run. The truth about a run is its row, not its job."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from mlengine.errors import QueueUnavailable
from mlengine.stores.database.platform_id import read_platform_id
from mlengine.stores.queue.server import resolve_url

if TYPE_CHECKING:  # most commands ask no queue: its libraries take longer than they do
    from redis import Redis

    from mlengine.stores.queue.rq_jobs import RqJobs

QUEUE_NAME = "train"
_TIMEOUT_SECONDS = 0.5


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
        with self._jobs() as jobs:
            jobs.enqueue_run(run_id, timeout_seconds=timeout_seconds)

    def enqueue_helper(self, run_id: str, helper: str, *, timeout_seconds: int) -> None:
        """Let a worker help the training `run_id` with its folds, as the job `helper`."""
        with self._jobs() as jobs:
            jobs.enqueue_helper(run_id, helper, timeout_seconds=timeout_seconds)

    def has_job(self, job_id: str) -> bool:
        """Whether a job, such as that of a run, waits, or a worker that shows signs of life has it.

        The job of a run has the id of the run.
        """
        with self._jobs() as jobs:
            return jobs.has_job(job_id)

    def remove_job(self, job_id: str, *, only_waiting: bool = False) -> None:
        """Take a job out of the queue, or have the worker that runs it kill it.

        With `only_waiting` one that a worker has goes on.
        """
        with self._jobs() as jobs:
            jobs.remove_job(job_id, only_waiting=only_waiting)

    def workers(self) -> int:
        """How many workers of this queue gave a sign of life within twenty seconds."""
        with self._jobs() as jobs:
            return jobs.workers()

    def remove_dead_workers(self) -> None:
        """Strike off workers whose process is gone; for a queue of this machine alone."""
        with self._jobs() as jobs:
            jobs.remove_dead_workers()

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

    @contextmanager
    def _jobs(self) -> Iterator[RqJobs]:
        from mlengine.stores.queue.rq_jobs import RqJobs  # noqa: PLC0415 - see above

        with self._client() as client:
            yield RqJobs(client, self.name())

    @contextmanager
    def _client(self) -> Iterator[Redis]:
        from mlengine.stores.queue.rq_jobs import translated_errors  # noqa: PLC0415 - see above

        with translated_errors():
            yield self._cached_client(self.url())

    def _cached_client(self, url: str) -> Redis:
        from mlengine.stores.queue.rq_jobs import connect  # noqa: PLC0415 - see above

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
