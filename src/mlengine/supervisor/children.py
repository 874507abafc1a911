"""A supervised child process, and the signals that its supervisor waits for."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

FIRST_MINUTE_SECONDS = 60.0
MOST_FAILURES = 5
_FIRST_DELAY_SECONDS = 0.5
_SECOND_TERM_AFTER_SECONDS = 1.1  # RQ takes two within one second for one


class Signals:
    """Waits for signals instead of being interrupted by them: nothing happens in between.

    They stay blocked in this process; its children unblock them (`process_death`).
    """

    def __init__(self) -> None:
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._stops = {signal.SIGINT, signal.SIGTERM} | (set() if ignored else {signal.SIGHUP})
        self._waited = {*self._stops, signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, self._waited)

    def stop_asked(self, *, within_seconds: float) -> bool:
        """Wait that long, or until a child ended, or until somebody asks to stop."""
        said = signal.sigtimedwait(self._waited, max(0.0, within_seconds))
        return said is not None and said.si_signo in self._stops


@dataclass
class Child:
    """One process that is started again when it ends, unless it is `vital`.

    One that is `early` needs no prepared database to start.
    `grace_seconds` is what it gets between SIGTERM and SIGKILL; `insist` sends a second SIGTERM.
    One that runs but isn't reachable any more is of no use and is killed.
    """

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    grace_seconds: float
    early: bool = False
    vital: bool = False
    insist: bool = False
    is_reachable: Callable[[], bool] = lambda: True
    process: subprocess.Popen[bytes] | None = None
    failures: int = field(default=0, init=False)
    retry_at: float | None = field(default=None, init=False)
    _started_at: float = field(default=0.0, init=False)

    def launch(self) -> None:
        """Start it; whatever `start` raises leaves it down."""
        self.retry_at = None
        self._started_at = time.monotonic()
        self.process = self.start()

    def exit_code(self) -> int | None:
        """How it ended, None while it runs or when it isn't started."""
        return self.process.poll() if self.process is not None else None

    def kill_if_unreachable(self) -> None:
        running = self.process is not None and self.process.poll() is None
        if self.process is not None and running and not self.is_reachable():
            self._kill(self.process)

    def note_failure(self) -> float:
        """Count the end of a life, plan the next; returns the seconds until then."""
        self.process = None
        short = time.monotonic() - self._started_at < FIRST_MINUTE_SECONDS
        self.failures = self.failures + 1 if short else 1
        delay: float = _FIRST_DELAY_SECONDS * 2 ** (self.failures - 1)
        self.retry_at = time.monotonic() + delay
        return delay

    @property
    def hopeless(self) -> bool:
        return self.failures >= MOST_FAILURES

    def due(self) -> bool:
        return self.retry_at is not None and time.monotonic() >= self.retry_at

    def stop(self, signals: Signals, *, hurried: bool) -> bool:
        """End it, gently unless `hurried`; returns whether somebody asked to hurry meanwhile."""
        if self.process is None or self.process.poll() is not None:
            return hurried
        if not hurried:
            hurried = self._ask_to_end(self.process, signals)
        if self.process.poll() is None:
            self._kill(self.process)
        return hurried

    def _ask_to_end(self, process: subprocess.Popen[bytes], signals: Signals) -> bool:
        process.terminate()
        begun = time.monotonic()
        insisted = not self.insist
        while process.poll() is None and time.monotonic() - begun < self.grace_seconds:
            if signals.stop_asked(within_seconds=0.05):
                return True
            if not insisted and time.monotonic() - begun > _SECOND_TERM_AFTER_SECONDS:
                process.terminate()
                insisted = True
        return False

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        """The process and its whole session's group; what left that group dies with its parent."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def how_it_ended(code: int) -> str:
    """An exit code, or the name of the signal that ended a process."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def reap_strangers(known: set[int]) -> None:
    """As pid 1 of a container, bury the dead that nobody else will; never our own children."""
    if os.getpid() != 1:
        return
    with suppress(ChildProcessError):
        while True:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if dead is None or dead.si_pid in known:
                return
            os.waitpid(dead.si_pid, os.WNOHANG)
