from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from rq.executions import prepare_execution
from rq.job import Job, JobStatus
from tests.patience import patience
from tests.queue_process import QueueProcess

from mlengine.errors import QueueUnavailable
from mlengine.jobs.allow_listed_job import AllowListedJob
from mlengine.jobs.worker import make_worker
from mlengine.stores.database.engine import open_database
from mlengine.stores.database.migrate import migrate
from mlengine.stores.queue.jobs import JobQueue, open_queue
from mlengine.stores.queue.rq_jobs import TRAIN_TASK, WORKER_KEY_SECONDS


@pytest.fixture(scope="module")
def server() -> Iterator[QueueProcess]:
    with QueueProcess() as process:
        yield process


@pytest.fixture
def queue(server: QueueProcess) -> JobQueue:
    Redis.from_url(server.url).flushall()
    return JobQueue(lambda: server.url)


def test_an_enqueued_training_has_a_job_that_names_the_task_in_json(
    queue: JobQueue, server: QueueProcess
) -> None:
    queue.enqueue_run("run-1", timeout_seconds=90)
    job = Job.fetch("run-1", connection=Redis.from_url(server.url), serializer="json")
    assert (job.func_name, job.args, job.timeout) == (TRAIN_TASK, ["run-1"], 90)
    assert b"run-1" in job.data
    assert queue.has_job("run-1")


def test_two_platforms_at_one_server_see_no_job_and_no_worker_of_each_other(
    server: QueueProcess, tmp_path: Path
) -> None:
    one, other = (_queue_of_a_new_platform(server, tmp_path / name) for name in ("one", "other"))
    one.enqueue_run("run-1", timeout_seconds=90)
    assert (one.has_job("run-1"), other.has_job("run-1")) == (True, False)
    make_worker(server.url, other.name()).register_birth()
    assert (one.workers(), other.workers()) == (0, 1)
    assert make_worker(server.url, other.name()).work(burst=True, logging_level="ERROR") is False
    assert one.has_job("run-1")


def _queue_of_a_new_platform(server: QueueProcess, folder: Path) -> JobQueue:
    folder.mkdir()
    url = f"sqlite:///{folder}/audit.db"
    migrate(url)
    return open_queue(server.url, folder, open_database(url))


def test_a_run_that_was_never_enqueued_has_no_job(queue: JobQueue) -> None:
    assert not queue.has_job("run-2")


def test_a_job_that_ended_does_not_count(queue: JobQueue, server: QueueProcess) -> None:
    queue.enqueue_run("run-1", timeout_seconds=90)
    job = Job.fetch("run-1", connection=Redis.from_url(server.url), serializer="json")
    job.set_status(JobStatus.FAILED)
    assert not queue.has_job("run-1")


def test_a_job_in_no_queue_counts_while_whoever_took_it_shows_signs_of_life(
    queue: JobQueue, server: QueueProcess
) -> None:
    queue.enqueue_run("run-1", timeout_seconds=90)
    client = Redis.from_url(server.url)
    worker = make_worker(server.url)
    client.rpop("rq:queue:train")
    assert not queue.has_job("run-1")
    job = AllowListedJob.fetch("run-1", connection=worker.connection, serializer="json")
    execution = prepare_execution(worker, job)
    assert queue.has_job("run-1")
    client.hset(execution.key, "last_heartbeat", execution.last_heartbeat.timestamp() - 10)
    assert not queue.has_job("run-1")
    client.delete(execution.key)
    assert not queue.has_job("run-1")
    worker.connection.close()


def test_a_withdrawn_job_is_gone_and_one_that_never_was_is_no_matter(queue: JobQueue) -> None:
    queue.enqueue_run("run-1", timeout_seconds=90)
    queue.remove_job("run-1")
    assert not queue.has_job("run-1")
    queue.remove_job("run-1")


def test_workers_are_counted_while_they_show_signs_of_life(
    queue: JobQueue, server: QueueProcess
) -> None:
    client = Redis.from_url(server.url)
    for name, silent_for in (("fresh", 5), ("silent", 25)):
        _register(client, f"rq:worker:{name}")
        client.set(f"rq:worker:{name}", "", ex=WORKER_KEY_SECONDS - silent_for)
    _register(client, "rq:worker:gone")
    assert queue.workers() == 1


def test_a_worker_whose_process_is_gone_can_be_struck_off(
    queue: JobQueue, server: QueueProcess
) -> None:
    client = Redis.from_url(server.url)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name, pid in (("alive", os.getpid()), ("dead", dead.pid)):
        _register(client, f"rq:worker:{name}")
        client.hset(f"rq:worker:{name}", "pid", str(pid))
        client.expire(f"rq:worker:{name}", WORKER_KEY_SECONDS)
    _register(client, "rq:worker:expired")
    assert queue.workers() == 2
    queue.remove_dead_workers()
    assert queue.workers() == 1
    assert client.smembers("rq:workers") == {b"rq:worker:alive"}


def _register(client: Redis, key: str) -> None:
    for workers in ("rq:workers", "rq:workers:train"):
        client.sadd(workers, key)


def test_ping_says_whether_the_server_answers(queue: JobQueue) -> None:
    assert queue.ping()


def test_a_queue_without_server_is_unavailable_within_a_second() -> None:
    queue = JobQueue(lambda: "unix:///nonexistent/queue.sock")
    begun = time.monotonic()
    assert not queue.ping()
    with pytest.raises(QueueUnavailable, match="refuses or drops"):
        queue.enqueue_run("run-1", timeout_seconds=1)
    assert time.monotonic() - begun < patience(1)


def test_an_address_of_another_kind_is_unavailable() -> None:
    with pytest.raises(QueueUnavailable, match="redis://"):
        JobQueue(lambda: "http://localhost").workers()
