"""SIGHUP: new web workers, which read everything anew, take the place of the old ones.

The old ones go on serving until the new ones are there, and for ever where these could not serve.
"""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from mlengine.logs import lifecycle
from mlengine.stores.system.terminal import has_terminal

_TRIAL = (sys.executable, "-m", "mlengine.wsgi")
_TRIAL_SECONDS = 60.0
_SAYS = "mlengine: "
_WORKERS_SECONDS = 60.0
_SECONDS_BETWEEN_LOOKS = 0.05
_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}


def install(server: Any) -> None:
    """Let gunicorn's master do that instead of its own; where its terminal closes, it stops."""
    had_terminal = has_terminal()

    def handle_hup() -> None:
        if had_terminal and not has_terminal():
            server.SIG_QUEUE.put(signal.SIGTERM)
        else:
            reload(server)

    server.handle_hup = handle_hup


def reload(server: Any) -> None:
    """Replace the workers; a stop that is asked for meanwhile comes first."""
    can_serve, reason = _try(lambda: _is_to_stop(server))
    if not can_serve:
        lifecycle.error("reload refused", extra={"reason": reason})
        return
    if reason:
        lifecycle.warning("reload incomplete", extra={"reason": reason})
    newest = [server.spawn_worker() for _ in range(server.cfg.workers)]
    spawned = [server.WORKERS[pid] for pid in newest if pid in server.WORKERS]
    before = {worker: worker.tmp.last_update() for worker in spawned}
    deadline = time.monotonic() + _WORKERS_SECONDS
    while time.monotonic() < deadline and not _is_to_stop(server):
        if all(worker.tmp.last_update() != moment for worker, moment in before.items()):
            break
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    server.manage_workers()  # which ends the oldest
    lifecycle.info("reloaded", extra={"workers": len(spawned)})


def _try(is_to_stop: Callable[[], bool]) -> tuple[bool, str]:
    """Whether a worker that starts now could serve; and why not, or what was left undone."""
    with subprocess.Popen(_TRIAL, stderr=subprocess.PIPE) as trial:
        deadline = time.monotonic() + _TRIAL_SECONDS
        while trial.poll() is None and time.monotonic() < deadline and not is_to_stop():
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        if trial.poll() is None:
            trial.kill()
            return False, "it was not known in time whether new workers could serve"
        lines = (trial.stderr.read() if trial.stderr else b"").decode(errors="replace")
    last = (lines.splitlines() or [""])[-1]
    if trial.returncode == 0:
        return True, last.removeprefix(_SAYS) if last.startswith(_SAYS) else ""
    return False, last.removeprefix(_SAYS) or f"exit code {trial.returncode}"


def _is_to_stop(server: Any) -> bool:
    """Whether a stop waits among the signals of the master, which stay as they are."""
    waiting = []
    try:
        while True:
            waiting.append(server.SIG_QUEUE.get_nowait())
    except queue.Empty:
        for each in waiting:
            server.SIG_QUEUE.put(each)
    return not _STOPS.isdisjoint(waiting)
