"""The files that the helpers of a training read: in a folder, or where hosts share a bucket, there.

They are there as long as the training takes. Loads nothing heavy, so that any process may remove
what is left of one.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from mlengine.stores.system.atomic_files import translated_os_errors

_PREFIX = "fan-out"


class _Stored(Protocol):
    @property
    def content(self) -> bytes: ...


class SharedObjects(Protocol):
    """What all hosts can read; each method raises RegistryUnavailable."""

    def get(self, key: str) -> _Stored | None: ...

    def put(self, key: str, content: bytes) -> None: ...

    def keys(self, prefix: str) -> list[str]: ...

    def delete(self, keys: list[str]) -> None: ...


def nothing_shared() -> None:
    """For a folder that all workers see."""


@dataclass(frozen=True)
class FoldFiles:
    """Below `directory` of this host, a folder a run, unless hosts have `objects` in common.

    Every method raises ArtifactsUnavailable, or RegistryUnavailable and what `open_objects` does.
    """

    directory: Path
    open_objects: Callable[[], SharedObjects | None] = nothing_shared

    def new_folder(self, run_id: str) -> Path:
        """Where to write the files of a run before they are shared."""
        with translated_os_errors():
            folder = self.directory / run_id
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700, parents=True)
            return folder

    def share(self, run_id: str, names: Sequence[str]) -> None:
        """Let other hosts read what was written, in this order."""
        objects = self.open_objects()
        if objects is None:
            return
        with translated_os_errors():
            for name in names:
                content = (self.directory / run_id / name).read_bytes()
                objects.put(_key(run_id, name), content)
            shutil.rmtree(self.directory / run_id, ignore_errors=True)

    def read(self, run_id: str, name: str) -> bytes | None:
        """A file of a run; None where there is none, or no longer."""
        objects = self.open_objects()
        if objects is not None:
            stored = objects.get(_key(run_id, name))
            return stored.content if stored else None
        with translated_os_errors(), suppress(FileNotFoundError):
            return (self.directory / run_id / name).read_bytes()
        return None

    @contextmanager
    def opened(self, run_id: str, name: str) -> Iterator[str | None]:
        """The path of an open file of a run, for libraries that read no bytes; None without one.

        It can be read also when the run ends meanwhile. One that comes from elsewhere is in memory,
        so that a process that is killed leaves none.
        """
        file = self._open(run_id, name)
        if file is None:
            yield None
            return
        with file:
            yield f"/proc/self/fd/{file.fileno()}"

    def _open(self, run_id: str, name: str) -> BinaryIO | None:
        if self.open_objects() is None:
            with translated_os_errors(), suppress(FileNotFoundError):
                return (self.directory / run_id / name).open("rb")
            return None
        content = self.read(run_id, name)
        if content is None:
            return None
        file = os.fdopen(os.memfd_create(name), "r+b")
        file.write(content)
        file.flush()
        return file

    def remove(self, run_id: str) -> None:
        """Remove what is there of a run."""
        shutil.rmtree(self.directory / run_id, ignore_errors=True)
        objects = self.open_objects()
        if objects is not None:
            prefix = _key(run_id, "")
            objects.delete([f"{prefix}{name}" for name in objects.keys(prefix)])

    def left_here(self) -> frozenset[str]:
        """The runs that have a folder on this host."""
        if not self.directory.is_dir():
            return frozenset()
        return frozenset(folder.name for folder in self.directory.iterdir())


def _key(run_id: str, name: str) -> str:
    return f"{_PREFIX}/{run_id}/{name}"
