"""The counters of all processes of a machine, those that have ended included.

What the ended ones counted is added up in one file, `totals.json`, which names the files whose
counts it has: whoever is killed between writing it and removing these counts nothing twice.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from mlengine.stores.system import atomic_files
from mlengine.stores.telemetry.counter_file import SUFFIX, read_series
from mlengine.stores.telemetry.counters import Key

_TOTALS, _LOCK = "totals.json", "lock"
_TRIES = 5

Values = dict[Key, list[float]]


@dataclass(frozen=True)
class _Totals:
    """What `included` files counted; a file of it that is still there is about to be removed."""

    values: Values = field(default_factory=dict)
    included: frozenset[str] = frozenset()


@dataclass(frozen=True)
class CounterFolder:
    """All counters below `path`; what can't be read counts nothing."""

    path: Path

    def totals(self) -> Values:
        """Of every process that ever counted here, by key; never less than a moment before."""
        for _ in range(_TRIES):
            before = self._version()
            totals = self._read_totals()
            files = [self._read(file) for file in self._files() if file.name not in totals.included]
            if before == self._version():
                break
        return _sum([totals.values, *files])

    def add_up_ended(self) -> None:
        """Put the counts of the processes that have ended into one file.

        Left to the next time where another process does so now, or where the disk refuses it.
        """
        with suppress(OSError), atomic_files.file_lock(self.path / _LOCK, wait=False) as locked:
            if not locked:
                return
            totals = self._read_totals()
            with _ended(self._files()) as ended:
                new = [file for file in ended if file.name not in totals.included]
                if new:
                    values = _sum([totals.values, *map(self._read, new)])
                    self._write_totals(values, [file.name for file in ended])
                for file in ended:
                    file.unlink(missing_ok=True)

    def remove_gone_machines(self, *, before: float) -> None:
        """Remove the folders beside this one where nothing was counted since, in epoch seconds.

        A container has another name each time it is made.
        """
        with suppress(OSError):
            for folder in [*self.path.parent.iterdir()]:
                if folder != self.path:
                    _remove_if_left(folder, before)

    def _files(self) -> list[Path]:
        return sorted(self.path.glob(f"*{SUFFIX}"))

    def _read(self, file: Path) -> Values:
        with suppress(OSError, ValueError):
            return {
                tuple(orjson.loads(key)): list(cells)
                for key, cells in read_series(file.read_bytes())
            }
        return {}

    def _version(self) -> tuple[int, int] | None:
        with suppress(OSError):
            status = (self.path / _TOTALS).stat()
            return status.st_ino, status.st_mtime_ns
        return None

    def _read_totals(self) -> _Totals:
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            document: Mapping[str, Any] = orjson.loads((self.path / _TOTALS).read_bytes())
            values = {
                tuple(map(str, key)): [float(cell) for cell in cells]
                for key, cells in document["series"]
            }
            return _Totals(values, frozenset(document["included"]))
        return _Totals()

    def _write_totals(self, values: Values, included: Iterable[str]) -> None:
        document = {"included": list(included), "series": list(values.items())}
        atomic_files.replace_file(self.path / _TOTALS, orjson.dumps(document))


def _sum(parts: Iterable[Values]) -> Values:
    """Cell by cell; of two layouts of a series the longer one is kept."""
    total: Values = {}
    for part in parts:
        for key, cells in part.items():
            before = total.get(key)
            if before is None or len(before) < len(cells):
                total[key] = cells
            elif len(before) == len(cells):
                total[key] = [a + b for a, b in zip(before, cells, strict=True)]
    return total


def _remove_if_left(folder: Path, before: float) -> None:
    with suppress(OSError):
        files = [*folder.iterdir()]
        counts = [file for file in files if file.suffix == SUFFIX]
        with _ended(counts) as ended:
            newest = max(each.stat().st_mtime for each in (folder, *files))
            if newest >= before or len(ended) < len(counts):
                return
            for file in files:
                file.unlink()
            folder.rmdir()


@contextmanager
def _ended(files: Iterable[Path]) -> Iterator[list[Path]]:
    """Those that no process holds; they stay held until the end of the block."""
    handles, ended = [], []
    try:
        for file in files:
            with suppress(OSError):
                handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
                handles.append(handle)
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                ended.append(file)
        yield ended
    finally:
        for handle in handles:
            os.close(handle)
