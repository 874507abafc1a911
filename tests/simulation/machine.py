"""A machine: its disk, its database, its queue, its processes, and what they were promised."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.simulation.database import Database
from tests.simulation.disk import Disk
from tests.simulation.files import Files
from tests.simulation.job_queue import SimulatedQueue
from tests.simulation.platform import Platform
from tests.simulation.promises.audit import AuditPromise
from tests.simulation.promises.bars import BarsPromise
from tests.simulation.promises.broken import BrokenPromise
from tests.simulation.promises.registry import RegistryPromise
from tests.simulation.promises.runs import RunPromise
from tests.simulation.scheduler import Process, Scheduler, Task

from mlengine.errors import MlengineError
from mlengine.services.models.event_recording import record_missing_activation

_PROCESSES = ("web1", "web2", "worker1", "worker2")
_DISK_ERRORS = (errno.ENOSPC, errno.EIO)
_DATABASE_ERRORS = {
    "begin": ("SQLITE_BUSY", "SQLITE_IOERR"),
    "change": ("SQLITE_FULL", "SQLITE_IOERR"),
    "commit": ("SQLITE_FULL", "SQLITE_BUSY"),
    "checkpoint": ("SQLITE_FULL", "SQLITE_BUSY"),
}


@dataclass
class Weather:
    """How likely each call is refused now."""

    disk: float = 0.0
    database: float = 0.0


class Machine:
    """Everything in `folder`, which is made; `broken` is the first promise that was not kept."""

    def __init__(self, folder: Path, scheduler: Scheduler) -> None:
        self.scheduler, self.chance = scheduler, scheduler.chance
        self.weather = Weather()
        self.broken: BrokenPromise | None = None
        self.platforms: dict[str, Platform] = {}
        self.prices: dict[str, list[float]] = {}
        self._ids = self._pids = 0
        folder.mkdir(exist_ok=True)
        self.disk = Disk(folder / "artifacts")
        self.files = Files(scheduler, self.disk, self._disk_refusal, self._renamed)
        self.database = Database(
            folder / "database", scheduler, self._database_refusal, self._committed
        )
        self.queue = SimulatedQueue(scheduler, self._stop_training)
        self.artifacts = artifacts = self.disk.root
        self.audit = AuditPromise(self.database, artifacts / "audit-spool")
        self.registry = RegistryPromise(artifacts / "models" / "main")
        self.runs = RunPromise(self.database)
        self.bars = BarsPromise()
        self._checked = (-1, -1)
        self.commits = 0

    @property
    def now(self) -> datetime:
        return self.scheduler.now

    def next_id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}{self._ids}"

    def start(self) -> None:
        """Start every process that is not there, and one to look with."""
        for name in _PROCESSES:
            if name not in self.platforms:
                self.platforms[name] = self.new_platform(name)

    def new_platform(self, name: str) -> Platform:
        self._pids += 1
        process = Process(name, 1000 + self._pids)
        return Platform(process, self.scheduler, self.database, self.queue, self.artifacts)

    def spawn(
        self,
        platform: Platform,
        name: str,
        work: Callable[[], object],
        then: Callable[[Task], None] | None = None,
    ) -> None:
        """Let a process do something; what the product refuses is fine, all else is not."""

        def judge(task: Task) -> None:
            self._judge(task)
            if then:
                then(task)

        self.scheduler.spawn(platform.process, name, work, judge)

    def train(self, worker: Platform, run_id: str) -> None:
        """A worker has taken a job: a process of its own works on it, and the worker reaps it."""
        horse = self.new_platform(f"horse-{run_id}")
        self.platforms[horse.process.name] = horse
        self.queue.working.add(run_id)
        executor = horse.executor()
        self.registry.prunings += executor.models_keep > 0

        def ended(task: Task) -> None:
            self.queue.working.discard(run_id)
            self._close(horse)
            died = task.error is not None
            if isinstance(task.result, str):
                self.registry.publish(task.result)
            current = self.platforms.get(worker.process.name)
            if current is worker and not worker.process.dead:
                self.spawn(worker, "reap", lambda: worker.run_maintenance.reap(run_id, died=died))

        work = lambda: executor.execute(run_id, end_process=horse.end_process)  # noqa: E731
        self.spawn(horse, "train", work, ended)

    def cut_power(self) -> None:
        """All die at once, and with them what has not reached the disk."""
        for platform in list(self.platforms.values()):
            self.scheduler.kill(platform.process)
        self.bury()
        self.disk.cut_power(self.chance)
        survived = self.database.cut_power(self.chance)
        self.scheduler.note(f"power cut: {survived}")
        self.runs.cut_power()
        self.bars.cut_power(survived)
        self.audit.cut_power(survived)
        self.registry.cut_power()
        self._checked = (-1, -1)

    def recover(self) -> None:
        """What the first process does when the platform starts."""
        self.start()
        platform = self.platforms["worker1"]
        platform.runs.mark_running_as_lost(now=self.now)
        record_missing_activation(platform.registry.active, platform.events)

    def bury(self) -> None:
        """End what is left of dead processes."""
        self.scheduler.bury()
        for platform in [each for each in self.platforms.values() if each.process.dead]:
            self._close(platform)

    def check(self) -> None:
        """After each step; what the disk holds only where it has changed."""
        if self.broken:
            raise self.broken
        changes = (self.disk.changes, self.commits)
        if self._checked != changes:
            self._checked = changes
            self.registry.check()
            self.audit.check()

    def close(self) -> None:
        for platform in list(self.platforms.values()):
            self.scheduler.kill(platform.process)
        self.bury()
        self.database.close()

    def _close(self, platform: Platform) -> None:
        platform.engine.dispose()
        self.platforms.pop(platform.process.name, None)

    def _judge(self, task: Task) -> None:
        error = task.error
        if isinstance(error, BrokenPromise):
            self.broken = self.broken or error
        elif error is not None and not task.process.dead and not isinstance(error, MlengineError):
            self.broken = self.broken or BrokenPromise(f"{task.name} ended with {error!r}")
            self.broken.__cause__ = error
        self.scheduler.note(f"{task.process.name} ends {task.name}: {type(error).__name__}")

    def _committed(self) -> None:
        self.commits += 1
        self._keep(self.runs.see_commit)

    def _renamed(self, target: Path) -> None:
        if target.parent == self.registry.directory and target.name.startswith("v"):
            self._keep(lambda: self.runs.see_version(target))

    def _keep(self, look: Callable[[], None]) -> None:
        """Note a broken promise where the product would catch it."""
        try:
            look()
        except BrokenPromise as broken:
            self.broken = self.broken or broken

    def _stop_training(self, run_id: str) -> None:
        horse = self.platforms.get(f"horse-{run_id}")
        if horse is not None:
            horse.process.dies_after = self.chance.randint(0, 3)

    def _disk_refusal(self) -> int | None:
        refused = self.weather.disk and self.chance.random() < self.weather.disk
        return self.chance.choice(_DISK_ERRORS) if refused else None

    def _database_refusal(self, kind: str) -> str | None:
        refused = self.weather.database and self.chance.random() < self.weather.database
        return self.chance.choice(_DATABASE_ERRORS[kind]) if refused else None
