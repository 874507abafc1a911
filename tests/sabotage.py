"""A module for FEATURE_SETS that holds none; it ruins a training at a chosen step of publishing.

The file `sabotage` in ARTIFACTS_DIR says what and when: `kill 7`, `sleep 1 5`, `freeze 1`,
`seize 1`. Step 0 is the reading of the first prices; a later one is anything that touches the
folder of the models once the staging folder is being made. `freeze` is stuck in native code,
`seize` keeps Python's lock and takes no signal.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

FEATURE_SETS = ()
_ORDERS = Path(os.environ.get("ARTIFACTS_DIR", ".")) / "sabotage"
_WATCHED = frozenset({"open", "os.mkdir", "os.rename"})
_steps = 0


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    global _steps  # noqa: PLW0603 - a hook has no other place
    if event == "open" and "/prices/" in (path := str(arguments[0])) and path.endswith(".parquet"):
        _act(0)
    if event not in _WATCHED or "/models/main" not in f"{arguments[0]} {arguments[1]}":
        return
    if _steps or (event == "os.mkdir" and ".staging-" in str(arguments[0])):
        _steps += 1
        _act(_steps)


def _act(step: int) -> None:
    what, at, *more = _ORDERS.read_text().split()
    if step != int(at):
        return
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "sleep":
        time.sleep(float(more[0]))
    elif what == "freeze":
        ctypes.CDLL(None).sleep(120)
    elif what == "seize":
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        ctypes.PyDLL(None).sleep(120)


if _ORDERS.exists() and "mlengine.jobs.work_horse" in " ".join(sys.orig_argv):
    sys.addaudithook(_watch)
