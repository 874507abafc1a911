from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from tests.patience import eventually, patience
from tests.supervised import alive

from mlengine.stores.system.child_process import start_dying_with_parent

PARENT = """
import time
from mlengine.stores.system.child_process import start_dying_with_parent
print(start_dying_with_parent(["sleep", "60"]).pid, flush=True)
time.sleep(60)
"""


def test_a_child_dies_with_its_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert eventually(lambda: not alive(child), seconds=3)


def test_a_child_is_in_a_session_of_its_own_with_its_signals_unblocked() -> None:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        child = start_dying_with_parent(["sleep", "60"])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    assert os.getsid(child.pid) == child.pid
    time.sleep(0.2)
    child.terminate()
    assert child.wait(timeout=patience(3)) == -signal.SIGTERM


def test_a_child_whose_parent_is_gone_already_never_starts() -> None:
    binder = sys.modules["mlengine.stores.system.child_process"].__file__
    child = subprocess.run(
        [sys.executable, str(binder), "1", "echo", "started"], capture_output=True, check=False
    )
    assert (child.returncode, child.stdout) == (1, b"")


def test_a_command_that_does_not_exist_exits_with_127(tmp_path: str) -> None:
    child = start_dying_with_parent(
        [f"{tmp_path}/missing"], environment={}, output=subprocess.DEVNULL
    )
    assert child.wait(timeout=patience(5)) == 127
