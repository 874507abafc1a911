from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from rq import Callback, Queue
from rq.job import Job
from rq.utils import import_attribute
from rq.webhook import Webhook
from tests.queue_process import QueueProcess

from mlengine.jobs.allow_listed_job import ALLOWED_TASKS, AllowListedJob, TaskRefused
from mlengine.jobs.worker import make_worker
from mlengine.stores.queue.jobs import QUEUE_NAME
from mlengine.stores.queue.rq_jobs import FIT_FOLDS_TASK, SERIALIZER, TRAIN_TASK


@pytest.fixture(scope="module")
def server() -> Iterator[QueueProcess]:
    with QueueProcess() as process:
        yield process


@pytest.fixture
def client(server: QueueProcess) -> Iterator[Redis]:
    with Redis.from_url(server.url) as connection:
        connection.flushall()
        yield connection


def test_the_tasks_that_are_enqueued_exist_and_no_other_is_allowed() -> None:
    assert set(ALLOWED_TASKS) == {TRAIN_TASK, FIT_FOLDS_TASK}
    assert all(callable(import_attribute(task)) for task in ALLOWED_TASKS)


def test_any_other_function_is_refused_before_it_runs(client: Redis, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    job = _stored(client, "os.system", f"touch {proof}")
    with pytest.raises(TaskRefused, match=r"os\.system"):
        job.perform()
    assert not proof.exists()


def test_a_method_of_a_smuggled_object_is_refused(client: Redis) -> None:
    job = _stored(client, TRAIN_TASK)
    client.hset(job.key, "data", json.dumps([TRAIN_TASK, "text", [], {}]))
    job.refresh()
    with pytest.raises(TaskRefused):
        job.perform()


def test_callbacks_and_hooks_of_a_stored_job_are_dropped(client: Redis) -> None:
    job = _stored(
        client,
        TRAIN_TASK,
        "run-1",
        on_success=Callback("os.abort"),
        on_failure=Callback("os.abort"),
        on_stopped=Callback("os.abort"),
        webhooks=[Webhook("http://127.0.0.1:1/", "finished")],
    )
    assert (job.success_callback, job.failure_callback, job.stopped_callback) == (None, None, None)
    assert job.webhooks == []


def test_a_worker_refuses_a_hostile_job_and_works_on(
    client: Redis, server: QueueProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", server.url)
    proof = tmp_path / "proof"
    job = _stored(client, "os.system", f"touch {proof}")
    assert make_worker(server.url).work(burst=True, logging_level="ERROR")
    assert job.is_failed
    result = job.latest_result()
    assert result is not None
    assert "TaskRefused" in str(result.exc_string)
    assert not proof.exists()


def _stored(client: Redis, function: str, *args: str, **options: object) -> Job:
    """A job as a hostile writer would put it, read as the worker reads it."""
    queue = Queue(QUEUE_NAME, connection=client, serializer=SERIALIZER)
    job = queue.enqueue_call(function, args=args, timeout=30, **options)
    return AllowListedJob.fetch(job.id, connection=client, serializer=SERIALIZER)
