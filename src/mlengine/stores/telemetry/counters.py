"""What a process counts as it works: cells of its file, or of its memory where it has none."""

from __future__ import annotations

import logging
import threading
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import orjson

from mlengine.core.telemetry.families import Family
from mlengine.core.telemetry.latency_sketch import BUCKETS, bucket_of
from mlengine.stores.system.atomic_files import describe_error
from mlengine.stores.telemetry.counter_file import Cells, CounterFile

log = logging.getLogger(__name__)

SUM, BUCKETS_FROM = 0, 1
SKETCH_CELLS = BUCKETS_FROM + BUCKETS

Key = tuple[str, ...]
Series = TypeVar("Series", "Count", "Sketch")


class Count:
    """One counter; to add takes a fifth of a microsecond."""

    __slots__ = ("cells", "lock")

    def __init__(self, cells: Cells, lock: threading.Lock) -> None:
        self.cells = cells
        self.lock = lock

    def add(self, amount: float = 1.0) -> None:
        with self.lock:
            self.cells[0] += amount


class Sketch:
    """Latencies of one kind; `cells` are their sum in milliseconds, then the buckets."""

    __slots__ = ("cells", "lock", "longest_ms")

    def __init__(self, cells: Cells, lock: threading.Lock) -> None:
        self.cells = cells
        self.lock = lock
        self.longest_ms = 0.0

    def observe(self, milliseconds: float, count: int = 1) -> None:
        """`count` latencies more, all alike."""
        bucket = bucket_of(milliseconds) + BUCKETS_FROM
        with self.lock:
            self.cells[bucket] += count
            self.cells[SUM] += milliseconds * count
            self.longest_ms = max(self.longest_ms, milliseconds)


class Counters:
    """Safe for threads; the file is made with the first count, in `folder`, if there is one."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._file: CounterFile | None = None
        self._counts: dict[Key, Count] = {}
        self._sketches: dict[Key, Sketch] = {}

    def count(self, family: Family, *labels: str) -> Count:
        """The counter of these labels; whoever counts often keeps it."""
        key = (family.name, *labels)
        return self._counts.get(key) or self._make(self._counts, key, Count, 1)

    def sketch(self, family: Family, *labels: str) -> Sketch:
        """The sketch of these labels; whoever counts often keeps it."""
        key = (family.name, *labels)
        return self._sketches.get(key) or self._make(self._sketches, key, Sketch, SKETCH_CELLS)

    def values(self) -> dict[Key, tuple[float, ...]]:
        """The cells of this process alone."""
        counts = {key: tuple(each.cells) for key, each in [*self._counts.items()]}
        return counts | {key: tuple(each.cells) for key, each in [*self._sketches.items()]}

    def counts_of(self, family: Family) -> dict[Key, Count]:
        """Those of this process, by labels."""
        return {key[1:]: each for key, each in [*self._counts.items()] if key[0] == family.name}

    def sketches_of(self, family: Family) -> dict[Key, Sketch]:
        """Those of this process, by labels."""
        return {key[1:]: each for key, each in [*self._sketches.items()] if key[0] == family.name}

    def _make(
        self,
        made: dict[Key, Series],
        key: Key,
        kind: Callable[[Cells, threading.Lock], Series],
        cells: int,
    ) -> Series:
        with self._making:
            if key not in made:
                made[key] = kind(self._new_cells(key, cells), self._lock)
            return made[key]

    def _new_cells(self, key: Key, count: int) -> Cells:
        """In memory alone where the file has no room, which `/metrics` of others does not see."""
        if self._folder is not None:
            try:
                self._file = self._file or CounterFile(self._folder)
                return self._file.add_series(orjson.dumps(key), count)
            except FileNotFoundError:  # of a command where no platform was ever started
                self._folder = None
            except OSError as error:
                log.warning("counters kept in memory", extra={"reason": describe_error(error)})
        return memoryview(array("d", bytes(8 * count))).cast("B").cast("d")
