"""A real queue server, a real worker and real trainings that can be killed at any moment."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from tests.databases import new_database
from tests.patience import eventually
from tests.platforms import bars_folder
from tests.queue_process import QueueProcess

from mlengine import config
from mlengine.bootstrap.control import ControlPlane, build_control
from mlengine.config import Settings
from mlengine.core.runs.run import Run
from mlengine.services.runs.service import RunRequest
from mlengine.stores.registry.folders import published_versions, staged_run_ids

ROOT = Path(__file__).parents[1]
NOTHING_YET = "kill 1000000"


def now() -> datetime:
    return datetime.now(UTC)


def say(line: str) -> None:
    """What a test found, for whoever runs it with -s."""
    sys.stdout.write(f"\n{line}\n")


class TrainingRig:
    """`with TrainingRig() as rig:` a platform without web server; `changed` are settings."""

    def __init__(self, **changed: str) -> None:
        self.queue = QueueProcess()
        self.artifacts = self.queue.artifacts
        self.environ = {
            "ADMIN_API_KEY": "a-test-key-of-thirty-two-letters",
            "ARTIFACTS_DIR": str(self.artifacts),
            "FEATURE_SETS": "tests.sabotage",
            "FLASK_SKIP_DOTENV": "1",
            "LOG_LEVEL": "ERROR",
            "MARKET_DATA_DIR": str(self.artifacts / "prices"),
            "OMP_NUM_THREADS": "1",
            "TRAIN_ACTIVATE": "always",
            "TRAIN_CV_FOLDS": "1",
            "TRAIN_SYMBOLS": "AAA,BBB",
            **changed,
        }
        self.worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> TrainingRig:
        self.queue.__enter__()
        bars_folder(self.artifacts / "prices", symbols=("AAA", "BBB"))
        self.sabotage(NOTHING_YET)
        new_database(self.artifacts / "audit.db")
        self.control: ControlPlane = build_control(Settings.from_env(self.environ))
        self.control.migrate_and_backfill()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill_worker()
        self.queue.__exit__(kind, error, trace)

    @property
    def models(self) -> Path:
        return self.artifacts / "models" / "main"

    def sabotage(self, order: str) -> None:
        (self.artifacts / "sabotage").write_text(order)

    def start_worker(self) -> None:
        environment = config.environment_for_child(self.environ)
        argv = [sys.executable, "worker.py"]
        with (self.artifacts / "worker.log").open("a") as log:
            self.worker = subprocess.Popen(argv, cwd=ROOT, env=environment, stderr=log)

    def log(self) -> str:
        return (self.artifacts / "worker.log").read_text()

    def kill_worker(self) -> None:
        if self.worker is not None:
            self.worker.kill()
            self.worker.wait()
            self.worker = None

    def horse(self) -> int | None:
        """The process of the training, None while there is none."""
        assert self.worker is not None
        pid = self.worker.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None

    def kill_horse(self) -> bool:
        """Kill the process of the training as soon as there is one; False where none comes."""
        if not eventually(lambda: self.horse() is not None):
            return False
        horse = self.horse()
        with contextlib.suppress(ProcessLookupError):
            if horse is not None:
                os.kill(horse, signal.SIGKILL)
        return horse is not None

    def ask(self) -> str:
        runs = self.control.runs
        return runs.request_training({}, RunRequest(uuid4().hex, "test", "r", now())).run_id

    def run(self, run_id: str) -> Run:
        return self.control.runs.get(run_id, now=now())

    def reaches(self, run_id: str, state: str, *, seconds: float = 60.0) -> bool:
        return eventually(lambda: self.run(run_id).state == state, seconds=seconds)

    def end_of(self, run_id: str, *, seconds: float = 90.0) -> tuple[Run, float]:
        """The run when it has ended, and the seconds that this took from now on."""
        begun = time.monotonic()
        assert eventually(lambda: not self.run(run_id).unfinished, seconds=seconds), self.run(
            run_id
        )
        return self.run(run_id), time.monotonic() - begun

    def is_publishing(self) -> bool:
        return bool(staged_run_ids(self.models))

    def versions(self) -> list[str]:
        return published_versions(self.models)
