"""The real `worker.py` with a real training that hangs in a silent upstream."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis
from rq.job import Job
from rq.worker_registration import get_keys
from tests.patience import eventually, patience
from tests.queue_process import QueueProcess
from tests.supervised import alive, free_port

from mlengine import config
from mlengine.bootstrap.control import ControlPlane, build_control
from mlengine.config import Settings
from mlengine.jobs.worker import make_worker
from mlengine.stores.queue.rq_jobs import TRAIN_TASK
from mlengine.stores.runs.rows import NewRun

ROOT = Path(__file__).parent.parent.parent


class Rig:
    """A worker in a process of its own, with a run that never ends."""

    def __init__(self, queue: QueueProcess, upstream: str) -> None:
        self.queue = queue
        self.environ = {
            "ARTIFACTS_DIR": str(queue.artifacts),
            "MARKET_DATA_BASE_URL": upstream,
            "MARKET_DATA_TIMEOUT_SECONDS": "60",
            "MARKET_DATA_DEADLINE_SECONDS": "60",
        }
        self.control: ControlPlane = build_control(Settings.from_env(self.environ))
        self.control.migrate_and_backfill()

    def claim(self, run_id: str) -> None:
        """A queued run without a job, as a lost queue leaves it."""
        self.control.run_store.create(
            NewRun(
                run_id=run_id,
                spec=json.dumps(self.control.runs.defaults.to_dict()),
                actor="test",
                request_id="request",
            ),
            now=datetime.now(UTC),
        )

    def state(self) -> str:
        run = self.control.runs.status(None, now=datetime.now(UTC))
        assert run is not None
        return str(run.state)

    def newest_actor(self) -> str | None:
        run = self.control.runs.status(None, now=datetime.now(UTC))
        return run.actor if run else None

    def start(self, *, stderr: int | None = None) -> subprocess.Popen[bytes]:
        environment = config.environment_for_child(self.environ)
        argv = [sys.executable, "worker.py"]
        return subprocess.Popen(argv, cwd=ROOT, env=environment, stderr=stderr)


@pytest.fixture
def rig() -> Iterator[Rig]:
    with QueueProcess() as queue, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield Rig(queue, f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_a_swept_run_is_worked_on_and_no_horse_outlives_a_killed_worker(rig: Rig) -> None:
    rig.claim("run-1")
    worker = rig.start()
    try:
        assert eventually(lambda: rig.state() == "running", seconds=60)
        (horse,) = _children(worker.pid)
        command = Path(f"/proc/{horse}/cmdline").read_text()
        assert "mlengine.jobs.work_horse" in command
        assert rig.queue.url not in command
    finally:
        worker.kill()
        worker.wait()
    assert eventually(lambda: not alive(horse), seconds=3)


_NOW = "2026-01-01T00:00:00.000000Z"
_JOB: dict[str, str | bytes] = {
    "created_at": _NOW,
    "enqueued_at": _NOW,
    "data": '["mlengine.jobs.tasks.train", null, ["x"], {}]',
    "status": "queued",
    "timeout": "60",
}
MALFORMED: dict[str | bytes, dict[str, str | bytes]] = {
    "no-moment": {"created_at": "garbage"},
    "no-timeout": {"timeout": "abc"},
    "no-state": {"status": "zzz"},
    "no-origin": {"origin": b"\xff\xfe"},
    "no-seconds": {"result_ttl": "x"},
    "no-retries": {"retries_left": "3", "retry_intervals": "nope"},
    "no-dependencies": {"dependency_ids": "nope"},
    "no-worker": {"worker_name": b"\xff"},
    "no-repeats": {"repeats_left": "x"},
    "no name / at all": {},
    b"no-text\xff": {},
}


def test_no_malformed_job_ends_a_worker(rig: Rig) -> None:
    client = Redis.from_url(rig.queue.url)
    worker = rig.start()
    try:
        assert eventually(lambda: rig.control.runs.workers() == 1, seconds=60)
        (key,) = client.keys("rq:workers:*")
        queue = key.decode().removeprefix("rq:workers:")
        for name, lies in MALFORMED.items():
            encoded = name if isinstance(name, bytes) else name.encode()
            client.hset(b"rq:job:" + encoded, mapping={**_JOB, "origin": queue, **lies})
            client.rpush(f"rq:queue:{queue}", encoded)
        client.set("rq:job:no-hash", "x")
        client.rpush(f"rq:queue:{queue}", "no-hash", "nothing-at-all")
        rig.claim("run-1")
        assert eventually(lambda: rig.state() == "running", seconds=60)
        assert worker.poll() is None
    finally:
        worker.kill()
        worker.wait()
        client.close()


def test_two_sigterms_end_a_worker_and_its_training(rig: Rig) -> None:
    rig.claim("run-1")
    worker = rig.start()
    try:
        assert eventually(lambda: rig.state() == "running", seconds=60)
        (horse,) = _children(worker.pid)
        worker.send_signal(signal.SIGTERM)
        time.sleep(1.1)
        assert worker.poll() is None
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=patience(3))
        assert eventually(lambda: not alive(horse), seconds=1)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)
        worker.wait()


def test_a_worker_alone_asks_for_a_first_training_where_it_is_told_to(rig: Rig) -> None:
    rig.environ["TRAIN_FIRST"] = "true"
    worker = rig.start()
    try:
        assert eventually(lambda: rig.newest_actor() == "first-training", seconds=60)
    finally:
        worker.kill()
        worker.wait()


def test_a_web_server_alone_asks_for_a_first_training_where_it_is_told_to(rig: Rig) -> None:
    environ = {**rig.environ, "TRAIN_FIRST": "true", "REDIS_URL": rig.queue.url}
    web = subprocess.Popen(
        [sys.executable, "-m", "mlengine", "web"],
        cwd=rig.queue.artifacts,
        env=config.environment_for_child({**environ, "PORT": str(free_port())}),
    )
    try:
        assert eventually(lambda: rig.newest_actor() == "first-training", seconds=60)
    finally:
        web.terminate()
        web.wait()


def test_sighup_lets_a_worker_finish_its_run_and_begin_anew(rig: Rig) -> None:
    rig.claim("run-1")
    worker = rig.start(stderr=subprocess.PIPE)
    assert worker.stderr is not None
    try:
        assert eventually(lambda: rig.state() == "running", seconds=60)
        (horse,) = _children(worker.pid)
        worker.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert (rig.state(), alive(horse)) == ("running", True)
        os.kill(horse, signal.SIGKILL)  # which ends the run, in its way
        starts = 0
        for line in worker.stderr:
            starts += b"training worker started" in line
            if starts == 2:
                break
        assert starts == 2
    finally:
        worker.kill()
        worker.wait()
        worker.stderr.close()


def test_a_training_process_that_dies_fails_its_run_at_once(rig: Rig) -> None:
    rig.claim("run-1")
    worker = rig.start()
    try:
        assert eventually(lambda: rig.state() == "running", seconds=60)
        (horse,) = _children(worker.pid)
        os.kill(horse, signal.SIGKILL)
        assert eventually(lambda: rig.state() == "failed", seconds=5)
        run = rig.control.runs.get("run-1", now=datetime.now(UTC))
        assert run.error == "the training process died"
        assert not rig.control.runs.queue.has_job("run-1")
    finally:
        worker.kill()
        worker.wait()


def test_a_killed_worker_does_not_count_once_the_next_has_begun(rig: Rig) -> None:
    count = rig.control.runs.workers
    for _ in range(2):
        worker = rig.start()
        try:
            assert eventually(lambda: count() == 1, seconds=20)
            assert eventually(functools.partial(_is_the_only_one, rig, worker.pid), seconds=20)
        finally:
            worker.kill()
            worker.wait()


def test_what_killed_trainings_left_is_cleared_away(rig: Rig) -> None:
    models = rig.control.active.path.parent
    for run_id in ("run-1", "dead"):
        (models / f".staging-{run_id}").mkdir(parents=True)
    rig.claim("run-1")
    rig.control.run_maintenance.run()
    assert [path.name for path in models.iterdir()] == [".staging-run-1"]


def test_a_failure_that_was_foreseen_is_one_line_without_traceback(
    rig: Rig, tmp_path: Path
) -> None:
    rig.environ |= {
        "MARKET_DATA_BASE_URL": "http://127.0.0.1:1",
        "MARKET_DATA_RETRY_ATTEMPTS": "0",
        "ENV": "staging",
    }
    rig.claim("run-1")
    with (tmp_path / "log").open("w") as log:
        worker = rig.start(stderr=log.fileno())
    try:
        assert eventually(lambda: rig.state() == "failed", seconds=60)
        assert eventually(lambda: not rig.control.runs.queue.has_job("run-1"))
        assert eventually(lambda: _logged(tmp_path / "log", "ERROR") != [])
    finally:
        worker.kill()
        worker.wait()
    (line,) = _logged(tmp_path / "log", "ERROR")
    assert (line["event"], line["code"]) == ("training failed", "upstream_unavailable")
    run = rig.control.runs.get("run-1", now=datetime.now(UTC))
    assert line["reason"] == run.error
    assert "traceback" not in line


def test_a_failure_that_was_not_foreseen_keeps_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with QueueProcess() as queue:
        worker = make_worker(queue.url)
        job = Job.create(TRAIN_TASK, [], connection=worker.connection, serializer="json")
        try:
            job.perform()
        except TypeError:
            worker.handle_exception(job, *sys.exc_info())
        worker.connection.close()
    (record,) = caplog.records
    assert record.message == "training crashed"
    assert "TypeError: train() missing" in caplog.text


def test_a_worker_without_queue_says_so_in_one_line(tmp_path: Path) -> None:
    for environ in ({}, {"REDIS_URL": "redis://127.0.0.1:1"}, {"WEB_WORKERS": "many"}):
        chosen = {"ARTIFACTS_DIR": str(tmp_path), **environ}
        said = subprocess.run(
            [sys.executable, "worker.py"],
            cwd=ROOT,
            env=config.environment_for_child(chosen),
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 1
        assert said.stderr.startswith("mlengine: ")
        assert said.stderr.count("\n") == 1


def test_a_training_that_can_not_begin_fails_its_run(rig: Rig) -> None:
    rig.claim("run-1")
    rig.environ["TRAIN_FEATURE_SET"] = "unheard-of"
    worker = rig.start()
    try:
        assert eventually(lambda: rig.state() == "failed", seconds=60)
    finally:
        worker.kill()
        worker.wait()


def test_upkeep_that_fails_is_logged_and_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {
        "ARTIFACTS_DIR": str(tmp_path),
        "AUDIT_DATABASE_URL": "sqlite:////nonexistent/audit.db",
    }
    control = build_control(Settings.from_env(environ))
    control.run_maintenance.run()
    control.run_maintenance.reap("run-1", died=False)
    assert caplog.text.count("upkeep_of_runs_failed") == 3  # of runs, of the audit, of one run


def test_the_worker_process_loads_neither_polars_nor_lightgbm() -> None:
    code = "import sys, mlengine.jobs.worker; print(*{name.split('.')[0] for name in sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"polars", "lightgbm", "flask"} & set(said.stdout.split())


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_the_only_one(rig: Rig, pid: int) -> bool:
    """Whether the queue knows the worker of that process and no other."""
    with Redis.from_url(rig.queue.url) as client:
        known = [int(client.hget(key, "pid") or 0) for key in get_keys(connection=client)]
    return known == [pid]


def _logged(log: Path, level: str) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["level"] == level]
