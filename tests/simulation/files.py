"""The calls of `os` and `fcntl` as the code under test meets them while a simulation runs.

A call for the simulated disk is a step of the scheduler, may be refused, and is told to the disk.
All others go through.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.simulation.disk import Disk
from tests.simulation.scheduler import Death, Scheduler

_CHANGING = (
    "fsync",
    "write",
    "ftruncate",
    "mkdir",
    "rmdir",
    "unlink",
    "rename",
    "replace",
    "utime",
)
_CREATING = os.O_CREAT | os.O_WRONLY | os.O_RDWR


class Files:
    """The calls of `os` and `fcntl` that reach files.

    `refusal` gives the error of the next one, `renamed` is called after each rename.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        disk: Disk,
        refusal: Callable[[], int | None],
        renamed: Callable[[Path], None],
    ) -> None:
        self._scheduler, self._chance = scheduler, scheduler.chance
        self._disk = disk
        self._refusal = refusal
        self._renamed = renamed
        names = [*_CHANGING, "open", "close", "listdir", "scandir", "getpid"]
        self._real: Any = SimpleNamespace(**{name: getattr(os, name) for name in names})
        self._flock = fcntl.flock

    def replacements(self) -> dict[str, Callable[..., Any]]:
        """What stands in `os` instead, by name."""
        return {**{name: getattr(self, name) for name in vars(self._real)}, "remove": self.unlink}

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: Any = None) -> int:
        if not self._ours(path):
            handle: int = self._real.open(path, flags, mode, dir_fd=dir_fd)
            self._disk.closed(handle)
            return handle
        if flags & _CREATING:
            self._step("open", path)
        else:
            self._scheduler.step(f"read {self._named(path)}")
        handle = self._real.open(path, flags, mode)
        self._disk.opened(handle, Path(path))
        return handle

    def close(self, handle: int) -> None:
        self._disk.closed(handle)
        self._real.close(handle)

    def fsync(self, handle: int) -> None:
        path = self._disk.path_of(handle)
        if path is None:
            self._real.fsync(handle)
            return
        try:
            self._step("fsync", path)
        except Death:
            self._tear(path)
            raise
        self._disk.forced(handle)

    def write(self, handle: int, content: Any) -> int:
        path = self._disk.path_of(handle)
        if path is None:
            written: int = self._real.write(handle, content)
            return written
        some = self._chance.randint(0, len(content))
        try:
            self._step("write", path)
        except (Death, OSError):
            self._real.write(handle, content[:some])
            raise
        return self._real.write(handle, content)  # type: ignore[no-any-return]

    def ftruncate(self, handle: int, size: int) -> None:
        path = self._disk.path_of(handle)
        if path is not None:
            self._scheduler.step(f"ftruncate {self._named(path)}")
        self._real.ftruncate(handle, size)

    def mkdir(self, path: Any, *args: Any, **options: Any) -> None:
        if self._ours(path) and not Path(path).exists():
            self._step("mkdir", path)
            self._real.mkdir(path, *args, **options)
            self._disk.made(Path(path))
        else:
            self._real.mkdir(path, *args, **options)

    def rmdir(self, path: Any, **options: Any) -> None:
        self._remove(self._real.rmdir, "rmdir", path, options)

    def unlink(self, path: Any, **options: Any) -> None:
        self._remove(self._real.unlink, "unlink", path, options)

    def rename(self, source: Any, target: Any, **options: Any) -> None:
        if self._ours(source):
            self._step("rename", source, target)
        self._real.rename(source, target, **options)
        if self._ours(source):
            self._disk.renamed(Path(source), Path(target))
            self._renamed(Path(target))

    replace = rename

    def utime(self, path: Any, *args: Any, **options: Any) -> None:
        if self._ours(path):
            self._step("utime", path)
        self._real.utime(path, *args, **options)

    def listdir(self, path: Any = ".") -> list[str]:
        return sorted(self._real.listdir(path))

    def scandir(self, path: Any = ".") -> SortedEntries:
        with self._real.scandir(path) as entries:
            return SortedEntries(sorted(entries, key=lambda entry: str(entry.name)))

    def getpid(self) -> int:
        task = self._scheduler.current
        return task.process.pid if task else self._real.getpid()

    def flock(self, handle: int, operation: int) -> object:
        """As the kernel's, but who waits hands on the turn."""
        path = self._disk.path_of(handle)
        if path is None:
            self._flock(handle, operation)
            return None
        self._scheduler.step(f"flock {self._named(path)}")
        while True:
            try:
                return self._flock(handle, operation | fcntl.LOCK_NB)
            except BlockingIOError:
                if operation & fcntl.LOCK_NB:
                    raise
            self._scheduler.block()

    def _ours(self, path: Any) -> bool:
        """Whether a task of the simulation calls, for a file of the simulated disk."""
        return self._scheduler.current is not None and self._disk.holds(path)

    def _remove(self, remove: Callable[..., None], name: str, path: Any, options: Any) -> None:
        ours = self._ours(path) and os.path.lexists(path)
        if ours:
            self._scheduler.step(f"{name} {self._named(path)}")
        remove(path, **options)
        if ours:
            self._disk.removed(Path(path))

    def _step(self, name: str, *paths: Any) -> None:
        """A call that a full or failing disk may refuse."""
        self._disk.changes += 1
        self._scheduler.step(f"{name} {' '.join(map(self._named, paths))}")
        number = self._refusal() if self._scheduler.current else None
        if number is not None:
            self._scheduler.note(f"refused: {errno.errorcode[number]}")
            raise OSError(number, os.strerror(number), str(paths[0]))

    def _named(self, path: Any) -> str:
        return str(Path(path).relative_to(self._disk.root))

    def _tear(self, path: Path) -> None:
        """The process was killed while it wrote what was to be forced now."""
        node, size = self._disk.node(path), path.stat().st_size if path.is_file() else 0
        forced = len(getattr(node, "forced", None) or b"")
        if size > forced:
            os.truncate(path, self._chance.randint(forced, size))


class SortedEntries:
    """What `os.scandir` gives, in the same order on every machine."""

    def __init__(self, entries: list[os.DirEntry[str]]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> SortedEntries:
        return self

    def __next__(self) -> os.DirEntry[str]:
        return next(self._entries)

    def __enter__(self) -> SortedEntries:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open."""
