"""Many processes in one: their threads take turns, and a seed decides whose turn it is.

Each task of a simulated process is a real thread, but only the one that holds the turn runs. It
may hand it on wherever it calls the system (see `Scheduler.step`), so two processes are woven
together at every write, rename and commit. A process that dies runs no further: every system call
of its tasks raises `Death`, whatever its `finally` blocks try.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
_PATIENCE_SECONDS = 120.0  # of the real clock, for one turn: a simulation that hangs must say so
_MOST_TURNS = 50_000  # some hundred are usual
_MOST_IN_VAIN = 20
_MOST_STEP_MICROSECONDS = 2_000


class Death(BaseException):
    """The simulated process is killed: no code of it runs on but to unwind."""


class Stuck(AssertionError):
    """Nobody can go on: all wait for each other."""


def _taken_lock() -> threading.Lock:
    """Whoever acquires it waits until somebody else releases it: cheaper than a semaphore."""
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False)
class Process:
    """A simulated process; `dies_after` counts the system calls that it has left, None for many."""

    name: str
    pid: int
    dead: bool = False
    dies_after: int | None = None
    frozen_until: datetime | None = None
    on_death: list[Callable[[], None]] = field(default_factory=list)


@dataclass(eq=False)
class Task:
    """A thread of a process; `result` is what its work gave, `error` what it raised."""

    process: Process
    name: str
    work: Callable[[], object]
    turn: threading.Lock = field(default_factory=_taken_lock)
    wakes_at: datetime | None = None
    blocked: bool = False
    done: bool = False
    result: object = None
    error: BaseException | None = None
    then: Callable[[Task], None] | None = None


class Scheduler:
    """Whose turn it is, what time it is, and what has happened so far."""

    def __init__(self, chance: Random, *, keep_trace: bool = False) -> None:
        self.chance = chance
        self.now = START
        self.tasks: list[Task] = []
        self.current: Task | None = None
        self.steps = 0
        self.turns = self._in_vain = 0
        self.lines: list[str] | None = [] if keep_trace else None
        self.weaving = chance.choice((0.05, 0.2, 0.5))  # how often a step hands the turn on
        self._hash = hashlib.sha256()
        self._turn = _taken_lock()

    @property
    def trace_hash(self) -> str:
        return self._hash.hexdigest()

    def note(self, line: str) -> None:
        """Put a line into the trace: two runs of a seed have the same."""
        task = self.current
        text = f"{self.now:%H:%M:%S.%f} {task.process.name if task else '-'} {line}\n"
        self._hash.update(text.encode())
        if self.lines is not None:
            self.lines.append(text)

    def spawn(
        self,
        process: Process,
        name: str,
        work: Callable[[], object],
        then: Callable[[Task], None] | None = None,
    ) -> Task:
        """A task that begins with its first turn; `then` is called by the hub at its end."""
        task = Task(process, name, work, then=then)
        self.tasks.append(task)
        threading.Thread(target=self._run, args=(task,), name=name, daemon=True).start()
        return task

    def step(self, label: str) -> None:
        """A system call of the running task is about to be made; raises Death in a dead process."""
        task = self.current
        if task is None or task is not self._own():
            return
        self.require_alive()
        self.note(label)
        self.steps += 1
        self.now += timedelta(microseconds=self.chance.randint(1, _MOST_STEP_MICROSECONDS))
        process = task.process
        if process.dies_after is not None:
            process.dies_after -= 1
            if process.dies_after < 0:
                self.kill(process)
                raise Death
        if self.chance.random() < self.weaving:
            self._hand_on(task)

    def require_alive(self) -> None:
        if self.current is not None and self.current.process.dead:
            raise Death

    def block(self) -> None:
        """Wait until another task has run: what this one needs is held."""
        task = self._running()
        task.blocked = True
        self._hand_on(task)

    def sleep(self, seconds: float) -> None:
        """Wait so long of the simulated time, or to the death of the process."""
        task = self._running()
        task.wakes_at = self.now + timedelta(seconds=max(seconds, 1e-6))
        self._hand_on(task)

    def kill(self, process: Process) -> None:
        """From now on no system call of the process succeeds."""
        self.note(f"{process.name} dies")
        process.dead = True
        for act in process.on_death:
            act()

    def run_one_turn(self) -> bool:
        """Give one task its turn; False where there is none, or all sleep."""
        self.turns += 1
        if self.turns > _MOST_TURNS:
            raise Stuck(f"{self._names(self.tasks)} come to no end")
        ready = [task for task in self.tasks if self._is_ready(task)]
        free = [task for task in ready if not task.blocked]
        if self._in_vain > _MOST_IN_VAIN * len(self.tasks):  # they only look at each other
            self._in_vain, free = 0, []
        if not free:
            if ready and not any(self._will_wake(task) for task in self.tasks):
                raise Stuck(f"{self._names(ready)} wait for each other")
            return False
        self._give_turn(self.chance.choice(free))
        return True

    def wake_next(self) -> bool:
        """Let the time pass until the next sleeper wakes; False where nobody sleeps."""
        moments = [moment for task in self.tasks if (moment := self._wakes(task)) is not None]
        if not moments:
            return False
        self.now = max(self.now, min(moments))
        for task in self.tasks:
            task.blocked = False
        return True

    def bury(self) -> None:
        """Let the tasks of dead processes end."""
        for task in [task for task in self.tasks if task.process.dead]:
            while not task.done:
                self._give_turn(task)

    @staticmethod
    def _names(tasks: list[Task]) -> str:
        return ", ".join(f"{task.process.name} at {task.name}" for task in tasks)

    def _own(self) -> Task | None:
        task: Task | None = getattr(threading.current_thread(), "simulated_task", None)
        return task

    def _running(self) -> Task:
        self.require_alive()
        assert self.current is not None
        return self.current

    def _wakes(self, task: Task) -> datetime | None:
        if task.process.dead:
            return None
        frozen, wakes = task.process.frozen_until, task.wakes_at
        frozen = frozen if frozen and frozen > self.now else None
        return max(frozen, wakes) if frozen and wakes else frozen or wakes

    def _will_wake(self, task: Task) -> bool:
        return self._wakes(task) is not None

    def _is_ready(self, task: Task) -> bool:
        wakes = self._wakes(task)
        return task.process.dead or wakes is None or wakes <= self.now

    def _give_turn(self, task: Task) -> None:
        before = self.steps
        task.wakes_at, task.blocked = None, False
        self.current = task
        task.turn.release()
        if not self._turn.acquire(timeout=_PATIENCE_SECONDS):
            raise Stuck(f"{self._names([task])} gives its turn to nobody")
        self.current = None
        self._in_vain = self._in_vain + 1 if task.blocked and self.steps == before else 0
        for other in self.tasks:
            if other is not task:
                other.blocked = False
        if task.done:
            self.tasks.remove(task)
            if task.then:
                task.then(task)

    def _hand_on(self, task: Task) -> None:
        self._turn.release()
        task.turn.acquire()
        self.require_alive()

    def _run(self, task: Task) -> None:
        threading.current_thread().simulated_task = task  # type: ignore[attr-defined]
        task.turn.acquire()
        try:
            self.require_alive()
            task.result = task.work()
        except BaseException as error:  # the hub judges it
            task.error = error
        task.done = True
        self._turn.release()
