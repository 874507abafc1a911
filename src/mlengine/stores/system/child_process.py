"""Children that can't outlive their parent, not even when the parent is killed with -9.

Run as a program, `PARENT_PID COMMAND…`, it binds itself to its parent and becomes the command:
code between fork and exec would not be safe in a parent that has threads.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its parent dies; exit if it is dead already.

    `parent_pid` is the parent's own word: inside a container the parent may well be pid 1.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def start_dying_with_parent(
    argv: Sequence[str], *, environment: Mapping[str, str] | None = None, output: int | None = None
) -> subprocess.Popen[bytes]:
    """Start `argv` in its own session (Ctrl-C doesn't reach it), dying with this process.

    Must be called on the main thread: the kernel watches the thread that started the child.
    `output` is a file descriptor for its standard output and error; None inherits them.
    A command that can't be executed exits with 127.
    """
    binder = [sys.executable, "-I", "-S", __file__, str(os.getpid())]
    return subprocess.Popen(
        [*binder, *argv],
        env=None if environment is None else dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def end_child(child: subprocess.Popen[bytes] | None, *, seconds: float) -> None:
    """Ask it to end, if it still runs, and kill it where it has not after `seconds`."""
    if child is None or child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def exec_dying_with_parent(parent_pid: int, argv: Sequence[str]) -> None:
    """Bind to the parent, unblock every signal and become `argv`.

    SIGHUP, which a supervisor passes on, ends nobody who does not know it yet.
    """
    die_with_parent(parent_pid)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606 - a list, no shell
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        os._exit(127)


if __name__ == "__main__":
    exec_dying_with_parent(int(sys.argv[1]), sys.argv[2:])
