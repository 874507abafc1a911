"""One seed: processes work, faults strike, promises are checked after each step.

`simulate(7)` is the same each time, to the last step; its `trace_hash` says so.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from tests.simulation.installed import installed
from tests.simulation.machine import Machine, Weather
from tests.simulation.platform import Platform
from tests.simulation.promises.broken import BrokenPromise
from tests.simulation.scheduler import Scheduler, Stuck
from tests.simulation.workload import INTERVAL, Workload

_MOST_TASKS = 6
Planted = Callable[[Machine], AbstractContextManager[None]]


@dataclass(frozen=True)
class Outcome:
    """What became of a seed; `broken` is the promise that was not kept, if any."""

    seed: int
    trace_hash: str
    steps: int
    broken: str | None
    trace: tuple[str, ...] = ()


class Simulation:
    """The machine of a seed, its work and its faults; each seed has some of both."""

    def __init__(self, folder: Path, scheduler: Scheduler) -> None:
        self.scheduler, self.chance = scheduler, scheduler.chance
        self.machine = Machine(folder, scheduler)
        self._workload = Workload(self.machine)
        actions = self._workload.actions()
        chosen = [name for name in actions if self.chance.random() < 0.7] or list(actions)
        self._actions = [(name, *actions[name][:2]) for name in chosen]
        self._weights = [actions[name][2] for name in chosen]
        faults = [self._kill, self._kill, self._cut_power, self._bad_weather, self._freeze]
        faults += [self._queue_trouble]
        self._faults = [each for each in faults if self.chance.random() < 0.6]
        self._fault_rate = self.chance.choice((0.0, 0.05, 0.1, 0.2))

    def run(self) -> None:
        """Raises BrokenPromise."""
        self.machine.recover()
        if self.chance.random() < 0.6:
            self._do("worker1", self._workload.publish_earlier_versions)
        if self.chance.random() < 0.4:
            self._bad_weather()
        for _ in range(self.chance.randint(15, 45)):
            self._act()
            for _ in range(self.chance.randint(0, 40)):
                self._turn()
        self._heal()
        self._finish()
        if self.chance.random() < 0.5:
            self.machine.cut_power()
        self.machine.recover()
        self._check_at_rest()

    def _act(self) -> None:
        """Begin something, or let something go wrong."""
        if self._faults and self.chance.random() < self._fault_rate:
            self.chance.choice(self._faults)()
        self.machine.start()
        if self.chance.random() < 0.1:
            self._rest()
        if self.chance.random() < 0.3 and len(self.scheduler.tasks) < _MOST_TASKS:
            run_id = self.machine.queue.take()
            if run_id is not None and f"horse-{run_id}" not in self.machine.platforms:
                worker = self.machine.platforms[self.chance.choice(("worker1", "worker2"))]
                self.machine.train(worker, run_id)
        if len(self.scheduler.tasks) < _MOST_TASKS:
            ((name, kind, work),) = self.chance.choices(self._actions, self._weights)
            for number in self.chance.choice(((1,), (2,), (1, 2))):
                self._begin(self.machine.platforms[f"{kind}{number}"], name, work)

    def _begin(self, platform: Platform, name: str, work: Callable[[Platform], None]) -> None:
        self.machine.spawn(platform, name, lambda: work(platform))

    def _turn(self) -> bool:
        """One task goes on, or the time does; False where there is nothing to do."""
        went_on = self.scheduler.run_one_turn() or self.scheduler.wake_next()
        self.machine.bury()
        self.machine.check()
        return went_on

    def _finish(self) -> None:
        """Let all tasks end."""
        while self.scheduler.tasks:
            self._turn()

    def _heal(self) -> None:
        self.machine.weather = Weather()
        self.machine.queue.is_down = False
        for platform in self.machine.platforms.values():
            platform.process.dies_after = None

    def _check_at_rest(self) -> None:
        """After a recovery nothing waits, all is whole, and the next training succeeds."""
        machine = self.machine
        machine.start()
        self._do("web1", self._workload.drain)
        self._do("worker1", self._workload.maintain)
        machine.audit.check_at_rest()
        machine.registry.check_at_rest()
        machine.runs.check_at_rest()
        machine.bars.check(machine.platforms["web1"].bars, INTERVAL)

    def _do(self, name: str, work: Callable[[Platform], object]) -> None:
        """Let one process do something while no other does."""
        platform = self.machine.platforms[name]
        self.machine.spawn(platform, "alone", lambda: work(platform))
        self._finish()

    def _kill(self) -> None:
        """One process, of those that do something, within its next calls."""
        processes = [task.process for task in self.scheduler.tasks]
        if processes:
            self.chance.choice(processes).dies_after = self.chance.randint(0, 20)

    def _cut_power(self) -> None:
        self.machine.cut_power()
        self.machine.queue.waiting.clear()
        self.machine.recover()

    def _bad_weather(self) -> None:
        """The disk or the database refuses calls for a while, or no more."""
        self.machine.weather = Weather(
            self.chance.choice((0.0, 0.0, 0.02, 0.2)),
            self.chance.choice((0.0, 0.05, 0.2, 1.0)),
        )

    def _freeze(self) -> None:
        """A process stands still, for longer than a lease maybe; but not on the way to publish."""
        if not self._is_publishing():
            platforms = list(self.machine.platforms.values())
            training = [each for each in platforms if each.process.name.startswith("horse")]
            self.chance.choice(training or platforms).process.frozen_until = (
                self.machine.now + timedelta(seconds=self.chance.choice((1, 10, 40)))
            )

    def _queue_trouble(self) -> None:
        self.machine.queue.is_down = self.chance.random() < 0.5
        if self.chance.random() < 0.5:
            self.machine.queue.waiting.clear()

    def _rest(self) -> None:
        """The whole machine is suspended; when it goes on, both workers look at the clock."""
        if self._is_publishing():
            return
        self.scheduler.now += timedelta(seconds=self.chance.choice((5, 20, 70)))
        for worker in ("worker1", "worker2"):
            self._begin(self.machine.platforms[worker], "tick", self._workload.tick)

    def _is_publishing(self) -> bool:
        return bool(self.machine.database.look("SELECT 1 FROM runs WHERE publishing"))


@contextmanager
def _folder() -> Iterator[Path]:
    """In memory where the machine offers it: the disk is simulated anyway."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def simulate(seed: int, planted: Planted | None = None, *, keep_trace: bool = False) -> Outcome:
    """Run one seed, with a fault planted into the product if one is given."""
    scheduler = Scheduler(Random(seed), keep_trace=keep_trace)  # noqa: S311 - no secret
    broken = None
    logging.disable(logging.ERROR)
    with _folder() as folder:
        simulation = Simulation(folder, scheduler)
        machine = simulation.machine
        try:
            with installed(scheduler, machine.files), (planted or nullcontext)(machine):
                try:
                    simulation.run()
                except (BrokenPromise, Stuck) as error:
                    broken = str(error)
                finally:
                    machine.close()
        finally:
            logging.disable(logging.NOTSET)
    return Outcome(
        seed, scheduler.trace_hash, scheduler.steps, broken, tuple(scheduler.lines or ())
    )
