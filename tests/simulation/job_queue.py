"""A queue that is down, loses jobs, gives them twice and in any order, and keeps answers to itself.

The real one is a server of its own; the truth about a run is its row, whatever the queue does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.scheduler import Scheduler

from mlengine.errors import QueueUnavailable


@dataclass(eq=False)
class SimulatedQueue:
    """Has the methods of `JobQueue` that services call."""

    scheduler: Scheduler
    stop: Callable[[str], None]  # kills the process that works on a run
    waiting: list[str] = field(default_factory=list)
    working: set[str] = field(default_factory=set)
    is_down: bool = False

    def enqueue_run(self, run_id: str, *, timeout_seconds: int) -> None:
        assert timeout_seconds > 0
        with_answer = self._call(f"enqueue {run_id}")
        if run_id not in self.waiting:
            self.waiting.append(run_id)
        with_answer()

    def has_job(self, run_id: str) -> bool:
        self._call(f"has_job {run_id}")()
        return run_id in self.waiting or run_id in self.working

    def remove_job(self, run_id: str) -> None:
        self._call(f"remove {run_id}")()
        if run_id in self.waiting:
            self.waiting.remove(run_id)
        if run_id in self.working:
            self.stop(run_id)

    def workers(self) -> int:
        self._call("workers")()
        return 2

    def take(self) -> str | None:
        """A job that waits, whichever; now and then it goes on waiting, too."""
        chance = self.scheduler.chance
        if self.is_down or not self.waiting:
            return None
        run_id = chance.choice(self.waiting)
        if chance.random() < 0.9:
            self.waiting.remove(run_id)
        return run_id

    def _call(self, label: str) -> Callable[[], None]:
        """Raises QueueUnavailable while it is down, and seldom where its answer is lost."""
        self.scheduler.step(label)
        if self.is_down:
            raise QueueUnavailable("it gave no answer in time")
        lost = self.scheduler.chance.random() < 0.02

        def answer() -> None:
            if lost:
                raise QueueUnavailable("it refuses or drops the connection")

        return answer
