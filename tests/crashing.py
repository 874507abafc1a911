"""A registry whose process is killed, or whose file system refuses, at every step of a change.

A step is a call from Python into C that can change files: `posix`, `fcntl`, `io` and the methods
of open files, as the interpreter's own profiler sees them. So nothing of the registry is replaced
or patched, a registry that is written anew has its own steps, and between two steps the disk can't
change. Each step gets a process of its own, forked from one that only imported (and that never ran
a query or a model, so that it may fork).

`python -m tests.crashing HOW FOLDER` leaves one registry a step in FOLDER/CHANGE/STEP and prints
what became of each process, as JSON: a list by change.
"""

from __future__ import annotations

import errno
import functools
import io
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from tests.published import draft

from mlengine.core.versions.pruning import Pin
from mlengine.errors import ArtifactsUnavailable
from mlengine.stores.registry.registry import Registry

ROOT = Path(__file__).parents[1]
NOW = datetime(2022, 3, 4, tzinfo=UTC)
FILES: Mapping[str, bytes] = {"model.txt": b"tree\n" * 9000, "reference.parquet": b"\x00\x01"}

_SYSTEM_CALLS = frozenset(
    {
        *("open", "mkdir", "rename", "replace", "link", "symlink", "unlink", "remove", "rmdir"),
        *("write", "writev", "pwrite", "truncate", "ftruncate", "posix_fallocate", "sendfile"),
        *("copy_file_range", "fsync", "fdatasync", "chmod", "fchmod", "utime", "flock"),
    }
)
_OF_FILES = frozenset({"write", "writelines", "flush", "truncate"})
# What a full or failing disk can refuse; a lock or a removal it can't.
STEPS = _SYSTEM_CALLS | _OF_FILES
_REFUSABLE = STEPS - {"unlink", "remove", "rmdir", "flock"}


def changes(registry: Registry) -> dict[str, Callable[[], object]]:
    """Every change of a registry, by name."""
    return {
        "publish": lambda: put(registry, "dying"),
        "activate": lambda: registry.activate("v1", actor="x", reason="", now=NOW),
        "pin": lambda: registry.pin("v4", Pin("x", NOW, "")),
        "unpin": lambda: registry.unpin("v1"),
        "prune": lambda: registry.prune(
            keep_newest=1, audited=lambda _: False, record=lambda _: None
        ),
    }


def put(registry: Registry, run_id: str) -> str:
    """Publish a version of small files."""
    return registry.publish(draft(run_id=run_id), FILES, fence=lambda: None).version


def five_versions(directory: Path) -> Registry:
    """v5 active, v4 before it, v1 pinned."""
    registry = Registry(directory)
    for number in range(1, 6):
        put(registry, f"run{number}")
    for version in ("v4", "v5"):
        registry.activate(version, actor="x", reason="", now=NOW)
    registry.pin("v1", Pin("x", NOW, "good"))
    return registry


@contextmanager
def at_step(number: int, act: Callable[[], object], among: frozenset[str]) -> Iterator[None]:
    """Call `act` in place of the `number`-th step whose name is `among` these."""
    seen = 0

    def act_in_time() -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            act()

    with each_step(act_in_time, among):
        yield


@contextmanager
def each_step(act: Callable[[], object], among: frozenset[str]) -> Iterator[None]:
    """Call `act` before each step whose name is `among` these; what it raises is in its place."""

    def watch(_: FrameType, event: str, called: object) -> None:
        if event == "c_call" and _step(called) in among:
            act()

    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(None)


def all_steps(how: str, folder: Path) -> dict[str, list[str]]:
    """What became of each step's process, by change: see the module.

    `how` is `killed`, or the name of the error that the call fails with, such as ENOSPC.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.crashing", how, str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    outcomes: dict[str, list[str]] = json.loads(done.stdout)
    return outcomes


def racing_publishers(folder: Path, *, processes: int, each: int) -> None:
    """That many processes publish at once."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.crashing", f"{processes}x{each}", str(folder)],
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0


def _step(called: object) -> str | None:
    name = getattr(called, "__name__", "")
    if isinstance(getattr(called, "__self__", None), io.IOBase):
        return name if name in _OF_FILES else None
    return name if getattr(called, "__module__", "") in ("posix", "fcntl", "io", "_io") else None


def _one_step(change: str, how: str, number: int, directory: Path) -> str:
    """What the change in this process came to, unless it is killed; empty past the last step."""
    todo = changes(Registry(directory))[change]
    reached = []

    def harm() -> None:
        reached.append(number)
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(getattr(errno, how), "")

    try:
        with at_step(number, harm, among=STEPS if how == "killed" else _REFUSABLE):
            todo()
    except ArtifactsUnavailable as refusal:
        return str(refusal)
    return "done in spite of it" if reached else ""


def _in_fork(work: Callable[[], str], report: Path) -> str:
    pid = os.fork()
    if not pid:
        report.write_text(work())
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return "killed" if os.WIFSIGNALED(status) else report.read_text()


def _every_step(change: str, how: str, whole: Path, folder: Path) -> list[str]:
    outcomes: list[str] = []
    for number in itertools.count(1):
        directory = folder / str(number)
        shutil.copytree(whole, directory)
        work = functools.partial(_one_step, change, how, number, directory)
        outcome = _in_fork(work, folder / "said")
        if not outcome:
            break
        outcomes.append(outcome)
    return outcomes


def _race(processes: int, each: int, folder: Path) -> int:
    pids = []
    for process in range(processes):
        if pid := os.fork():
            pids.append(pid)
            continue
        for number in range(each):
            put(Registry(folder), f"run{process}-{number}")
        os._exit(0)
    return max(os.waitpid(pid, 0)[1] for pid in pids)


def _main(how: str, folder: Path) -> int:
    if racers := re.fullmatch(r"([0-9]+)x([0-9]+)", how):
        return _race(int(racers[1]), int(racers[2]), folder)
    registry = five_versions(folder / "whole")
    outcomes = {
        change: _every_step(change, how, registry.directory, folder / change)
        for change in changes(registry)
    }
    sys.stdout.write(json.dumps(outcomes))
    return 0


if __name__ == "__main__":
    sys.exit(bool(_main(sys.argv[1], Path(sys.argv[2]))))
