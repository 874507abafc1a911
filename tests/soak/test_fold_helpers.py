"""Workers that help a training with its folds, killed with -9: the same model, and nothing left."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest
from redis import Redis
from rq.job import Job
from tests.patience import eventually
from tests.platforms import bars_folder, settings
from tests.postgres import running_server, what_is_missing
from tests.queue_process import QueueProcess
from tests.s3_server import s3_server
from tests.training_rig import ROOT, TrainingRig, now, say

from mlengine.bootstrap.control import ControlPlane, build_control
from mlengine.bootstrap.registry import open_bucket
from mlengine.config import environment_for_child
from mlengine.core.runs.run import Run
from mlengine.core.versions.manifest import Manifest
from mlengine.services.runs.service import RunRequest
from mlengine.stores.queue.rq_jobs import SERIALIZER
from mlengine.stores.registry.registry import Registry

pytestmark = pytest.mark.soak

FOLDS = 5
SYMBOLS = tuple("ABCDEFGHIJ")
RECIPE = {"params": {"learning_rate": 0.01, "num_leaves": 31}}
KILLS, PARENT_KILLS = 40, 8
HOSTS = ("one", "two")


@dataclass
class Team:
    """A rig with two workers; either may carry out a training while the other helps it."""

    rig: TrainingRig
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self) -> None:
        self.rig.start_worker()
        assert self.rig.worker is not None
        self.workers.append(self.rig.worker)
        self.rig.worker = None

    def ask(self) -> str:
        request = RunRequest(uuid4().hex, "test", "r", now())
        return self.rig.control.runs.request_training(RECIPE, request).run_id

    def train(self) -> tuple[Run, float]:
        return self.rig.end_of(self.ask())

    def horses(self, *, helping: bool) -> dict[int, subprocess.Popen[bytes]]:
        """The processes that help, or those that carry out a training, with their workers."""
        found = {}
        for worker in self.workers:
            for pid in _children(worker.pid):
                command = _command(pid)
                if "work_horse" in command and ("-folds-" in command) == helping:
                    found[pid] = worker
        return found

    def kill_one(self, *, helping: bool, with_worker: bool) -> bool:
        """Kill a process of that kind, or its worker and so both; False where there is none."""
        for horse, worker in self.horses(helping=helping).items():
            if with_worker:
                worker.kill()
                worker.wait()
                self.workers.remove(worker)
                self.start_worker()
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(horse, signal.SIGKILL)
            return True
        return False

    def manifest(self, run: Run) -> Manifest:
        assert run.version is not None, run
        return Registry(self.rig.models).manifest(run.version)

    def leaves_nothing(self, run_id: str) -> bool:
        """No row, file, job or process of the training, within some seconds."""
        gone = eventually(lambda: not self.left_of(run_id), seconds=30)
        if not gone:
            say(f"left of {run_id}: {self.left_of(run_id)}")
        return gone

    def left_of(self, run_id: str) -> list[object]:
        helpers = self.rig.control.fold_helpers
        ids = (f"{run_id}-folds-{number}" for number in range(1, FOLDS + 1))
        jobs = [each for each in ids if helpers.queue.has_job(each)]
        folders = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
        processes = [pid for pid in folders if run_id in _command(pid)]
        rows = helpers.folds.shared(now=now())
        return [*rows, *helpers.files.left_here(), *jobs, *processes]


@contextlib.contextmanager
def team(**changed: str) -> Iterator[Team]:
    settings = {
        "TRAIN_ACTIVATE": "never",
        "TRAIN_CV_FOLDS": str(FOLDS),
        "TRAIN_FANOUT": "folds",
        "TRAIN_SYMBOLS": ",".join(SYMBOLS),
        "MONITOR_EVERY_SECONDS": "0",
        **changed,
    }
    with TrainingRig(**settings) as rig:
        bars_folder(rig.artifacts / "prices", symbols=SYMBOLS, rows=2_500)
        made = Team(rig)
        try:
            for _ in range(2):
                made.start_worker()
            assert eventually(lambda: rig.control.runs.workers() == 2, seconds=60)
            yield made
        finally:
            for worker in made.workers:
                worker.kill()
                worker.wait()


def _children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(each) for each in text.split()]
    return []


def _command(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def _seconds(run: Run) -> float:
    started, ended = run.started_at, run.ended_at
    assert isinstance(started, datetime)
    assert isinstance(ended, datetime)
    return (ended - started).total_seconds()


def test_helpers_killed_at_random_moments_change_nothing() -> None:
    chance = random.Random(15)  # noqa: S311 - moments, no secrets
    with team() as made:
        first, _ = made.train()
        expected, took, kills = made.manifest(first), _seconds(first), 0
        assert made.leaves_nothing(first.run_id)
        while kills < KILLS:
            run_id = made.ask()
            assert eventually(lambda: bool(made.horses(helping=True)), seconds=60)
            for _ in range(2):
                time.sleep(chance.uniform(0.0, took / 3))
                kills += made.kill_one(helping=True, with_worker=kills % 4 == 3)
            run, _ = made.rig.end_of(run_id)
            assert run.state == "succeeded", run
            found = made.manifest(run)
            assert found.fingerprint == expected.fingerprint
            assert [each.metrics for each in found.folds] == [
                each.metrics for each in expected.folds
            ]
            assert made.leaves_nothing(run_id), made.rig.log()
        say(f"{kills} kills of helpers: every run succeeded with {expected.fingerprint[:12]}")


def test_trainings_killed_at_random_moments_leave_nothing() -> None:
    chance = random.Random(16)  # noqa: S311 - moments, no secrets
    with team() as made:
        first, _ = made.train()
        ends: list[str] = []
        while len(ends) < PARENT_KILLS:
            run_id = made.ask()
            assert eventually(lambda: bool(made.horses(helping=True)), seconds=60)
            time.sleep(chance.uniform(0.0, _seconds(first) / 3))
            if not made.kill_one(helping=False, with_worker=len(ends) % 2 == 1):
                continue
            run, _ = made.rig.end_of(run_id)
            ends.append(run.state)
            assert made.leaves_nothing(run_id), made.rig.log()
        again, _ = made.train()
        assert made.manifest(again).fingerprint == made.manifest(first).fingerprint
    say(f"{PARENT_KILLS} kills of trainings: {sorted(set(ends))}, nothing left")
    assert set(ends) <= {"failed", "lost", "succeeded"}


@pytest.mark.skipif(what_is_missing() is not None, reason=str(what_is_missing()))
def test_hosts_that_share_no_folder_share_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(running_server()).new_database()
        queue, bucket = stack.enter_context(QueueProcess()), stack.enter_context(s3_server())
        shared = {
            **bucket.environ,
            "AUDIT_DATABASE_URL": database,
            "FLASK_SKIP_DOTENV": "1",
            "LOG_LEVEL": "ERROR",
            "REDIS_URL": queue.url,
            "REGISTRY_URL": bucket.new_prefix(),
            "TRAIN_ACTIVATE": "never",
            "TRAIN_CV_FOLDS": str(FOLDS),
            "TRAIN_FANOUT": "folds",
            "TRAIN_SYMBOLS": ",".join(SYMBOLS),
        }
        for name, value in bucket.environ.items():
            monkeypatch.setenv(name, value)
        controls = [build_control(settings(tmp_path / host, **shared)) for host in HOSTS]
        controls[0].migrate_and_backfill()
        found = []
        for count, host in enumerate(HOSTS, start=1):
            stack.enter_context(_worker_of(tmp_path / host, shared))
            assert eventually(lambda n=count: controls[0].runs.workers() == n, seconds=60)  # type: ignore[misc]
            found.append(_trained(controls[0]))
        registry = controls[0].open_registry()
        registry.refresh()
        alone, together = (registry.manifest(str(run.version)) for run in found)
        assert together.fingerprint == alone.fingerprint
        assert together.folds == alone.folds
        assert _folds_of_helper(queue.url, found[1].run_id) > 0
        objects = open_bucket(settings(tmp_path / HOSTS[0], **shared))
        assert objects is not None
        assert objects.keys("fan-out/") == []
        for control in controls:
            assert not control.fold_helpers.files.left_here()
            assert control.fold_helpers.folds.shared(now=control.clock()) == []
            control.database.dispose()


@contextlib.contextmanager
def _worker_of(folder: Path, shared: dict[str, str]) -> Iterator[None]:
    """A worker of a host with a folder of its own."""
    bars_folder(folder / "bars", symbols=SYMBOLS, rows=2_500)
    own = {"ARTIFACTS_DIR": str(folder / "artifacts"), "MARKET_DATA_DIR": str(folder / "bars")}
    worker = subprocess.Popen(
        [sys.executable, "worker.py"], cwd=ROOT, env=environment_for_child({**shared, **own})
    )
    try:
        yield
    finally:
        worker.kill()
        worker.wait()


def _trained(control: ControlPlane) -> Run:
    request = RunRequest(uuid4().hex, "test", "r", control.clock())
    run_id = control.runs.request_training(RECIPE, request).run_id

    def run() -> Run:
        return control.runs.get(run_id, now=control.clock())

    assert eventually(lambda: not run().unfinished, seconds=90)
    assert run().state == "succeeded", run()
    return run()


def _folds_of_helper(url: str, run_id: str) -> int:
    """How many folds the one helper of a training fitted, once its job has ended."""
    with Redis.from_url(url) as client:

        def result() -> dict[str, int] | None:
            job = Job.fetch(f"{run_id}-folds-1", connection=client, serializer=SERIALIZER)
            value: dict[str, int] | None = job.return_value()
            return value

        assert eventually(lambda: result() is not None, seconds=30)
        return (result() or {})["folds"]
