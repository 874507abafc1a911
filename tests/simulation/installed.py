"""The system as the code under test sees it while a simulation runs: files, time, threads.

`installed` puts it in place of `os` and `fcntl`, and of `time`, `threading` and `secrets` in every
module of the product's stores and runs that has imported them.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

from tests.simulation.files import Files
from tests.simulation.scheduler import Scheduler, Task

_SIMULATED = ("mlengine.stores.", "mlengine.services.runs.")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SimulatedLock:
    """A lock of one simulated process."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._held = False

    def locked(self) -> bool:
        return self._held

    def acquire(self, *, timeout: float = -1) -> bool:  # noqa: ARG002 - its holders are quick
        while self._held:
            self._scheduler.block()
        self._held = True
        return True

    def release(self) -> None:
        self._held = False

    def __enter__(self) -> SimulatedLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class SimulatedEvent:
    """An event of one simulated process."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._set = False
        self._waiting: list[Task] = []

    def set(self) -> None:
        self._set = True
        for task in self._waiting:
            task.wakes_at = self._scheduler.now

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float) -> bool:
        task = self._scheduler.current
        if not self._set and task is not None:
            self._waiting.append(task)
            self._scheduler.sleep(timeout)
            self._waiting.remove(task)
        return self._set


class SimulatedThread:
    """A thread of the process that starts it."""

    def __init__(
        self, scheduler: Scheduler, *, target: Callable[[], None], name: str, daemon: bool
    ) -> None:
        assert daemon, "a thread that keeps its process alive can't be killed with it"
        self._scheduler, self._target, self._name = scheduler, target, name
        self._task: Task | None = None

    def start(self) -> None:
        assert self._scheduler.current is not None
        process = self._scheduler.current.process
        self._task = self._scheduler.spawn(process, self._name, self._target)

    def join(self) -> None:
        while self._task is not None and not self._task.done:
            self._scheduler.block()


def _in_place_of(real: ModuleType, simulated: object) -> list[Any]:
    """One patch for each module of the product's stores and runs that has imported `real`."""
    names = sorted(name for name in sys.modules if name.startswith(_SIMULATED))
    return [
        patch.object(sys.modules[name], real.__name__, simulated)
        for name in names
        if vars(sys.modules[name]).get(real.__name__) is real
    ]


@contextmanager
def installed(scheduler: Scheduler, files: Files) -> Iterator[None]:
    """Within this block the code under test meets the simulated system."""

    def seconds() -> float:
        return (scheduler.now - _EPOCH).total_seconds()

    clock = SimpleNamespace(
        sleep=scheduler.sleep,
        monotonic=seconds,
        time=seconds,
        time_ns=lambda: int(seconds() * 1e6) * 1000,
    )
    threads = SimpleNamespace(
        Lock=lambda: SimulatedLock(scheduler),
        Event=lambda: SimulatedEvent(scheduler),
        Thread=lambda **options: SimulatedThread(scheduler, **options),
        local=threading.local,  # each simulated thread is a real one
    )
    tokens = SimpleNamespace(token_hex=lambda size: scheduler.chance.randbytes(size).hex())
    patches = [
        *(patch.object(os, name, call) for name, call in files.replacements().items()),
        patch.object(fcntl, "flock", files.flock),
        patch.object(shutil, "_use_fd_functions", False),
        *_in_place_of(time, clock),
        *_in_place_of(threading, threads),
        *_in_place_of(secrets, tokens),
    ]
    with ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        yield
