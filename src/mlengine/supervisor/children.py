"""A supervised child process, and the signals that its supervisor waits for."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from mlengine.stores.system.terminal import has_terminal

FIRST_MINUTE_SECONDS = 60.0
MAX_FAILURES = 5
_FIRST_DELAY_SECONDS = 0.5
_MOST_DOUBLINGS = 6  # a try every half a minute, for ever
_SECOND_TERM_AFTER_SECONDS = 1.1  # RQ takes two within one second for one


class Signals:
    """Waits for signals instead of being interrupted by them: nothing happens in between.

    They stay blocked in this process; its children unblock them (`child_process`). SIGHUP asks for
    a reload, which `reload_is_due` notes; where it came because the terminal closed, it is a stop,
    or nothing under `nohup`.
    """

    def __init__(self) -> None:
        self._outlives_terminal = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._had_terminal = has_terminal()
        self._awaited = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}
        self.reload_is_due = False
        signal.pthread_sigmask(signal.SIG_BLOCK, self._awaited)

    def wait_for_stop(self, *, timeout_seconds: float) -> bool:
        """Wait that long, or until a child ends; returns whether a stop signal came."""
        received = signal.sigtimedwait(self._awaited, max(0.0, timeout_seconds))
        if received is None or received.si_signo == signal.SIGCHLD:
            return False
        if received.si_signo != signal.SIGHUP:
            return True
        if self._had_terminal and not has_terminal():
            return not self._outlives_terminal
        self.reload_is_due = True
        return False


@dataclass
class Child:
    """One process that is restarted when it ends; the end of a `critical` one ends everything.

    One with `needs_database` waits for the prepared database.
    `grace_seconds` lie between SIGTERM and SIGKILL; `second_sigterm` sends another in between.
    One that `takes_sighup` is passed it on.
    One that runs but isn't reachable any more is of no use and is killed. `clean_up` is called
    after its end, when everything stops.
    """

    name: str
    spawn: Callable[[], subprocess.Popen[bytes]]
    grace_seconds: float
    needs_database: bool = True
    critical: bool = False
    takes_sighup: bool = False
    second_sigterm: bool = False
    is_reachable: Callable[[], bool] = lambda: True
    clean_up: Callable[[], None] = lambda: None
    process: subprocess.Popen[bytes] | None = None
    failures: int = field(default=0, init=False)
    restart_at: float | None = field(default=None, init=False)
    _started_at: float = field(default=0.0, init=False)

    def start(self) -> None:
        """Spawn it; whatever `spawn` raises leaves it down."""
        self.restart_at = None
        self._started_at = time.monotonic()
        self.process = self.spawn()

    def reload(self) -> bool:
        """Send it SIGHUP; returns whether it runs and takes it."""
        if not self.takes_sighup or self.process is None or self.process.poll() is not None:
            return False
        self.process.send_signal(signal.SIGHUP)
        return True

    def exit_code(self) -> int | None:
        """How it ended, None while it runs or when it isn't started."""
        return self.process.poll() if self.process is not None else None

    def kill_if_unreachable(self) -> None:
        running = self.process is not None and self.process.poll() is None
        if self.process is not None and running and not self.is_reachable():
            self._kill(self.process)

    def schedule_restart(self) -> float:
        """Count a failure and back off; returns the seconds until the restart."""
        self.process = None
        was_short = time.monotonic() - self._started_at < FIRST_MINUTE_SECONDS
        self.failures = self.failures + 1 if was_short else 1
        doublings = min(self.failures - 1, _MOST_DOUBLINGS)
        delay: float = _FIRST_DELAY_SECONDS * 2**doublings
        self.restart_at = time.monotonic() + delay
        return delay

    @property
    def failed_too_often(self) -> bool:
        return self.failures >= MAX_FAILURES

    def restart_due(self) -> bool:
        return self.restart_at is not None and time.monotonic() >= self.restart_at

    def stop(self, signals: Signals, *, force: bool) -> bool:
        """End it, gently unless `force`; returns `force`, or whether a second stop signal came."""
        if self.process is not None and self.process.poll() is None:
            if not force:
                force = self._terminate(self.process, signals)
            if self.process.poll() is None:
                self._kill(self.process)
        self.clean_up()
        return force

    def _terminate(self, process: subprocess.Popen[bytes], signals: Signals) -> bool:
        process.terminate()
        started = time.monotonic()
        sent_twice = not self.second_sigterm
        while process.poll() is None and time.monotonic() - started < self.grace_seconds:
            if signals.wait_for_stop(timeout_seconds=0.05):
                return True
            if not sent_twice and time.monotonic() - started > _SECOND_TERM_AFTER_SECONDS:
                process.terminate()
                sent_twice = True
        return False

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        """The process and its whole session's group; what left that group dies with its parent."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def exit_reason(code: int) -> str:
    """An exit code, or the name of the signal that ended a process."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def reap_zombies(own_pids: set[int]) -> None:
    """As pid 1 of a container, reap the zombies that nobody else does; never our own children."""
    if os.getpid() != 1:
        return
    with suppress(ChildProcessError):
        while True:
            zombie = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if zombie is None or zombie.si_pid in own_pids:
                return
            os.waitpid(zombie.si_pid, os.WNOHANG)
