"""What a process counts as it works: cells of its file, or of its memory where it has none."""

from __future__ import annotations

import logging
import threading
from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import orjson

from mlengine.core.telemetry.families import Family
from mlengine.core.telemetry.latency_sketch import BUCKETS, bucket_of
from mlengine.stores.system.atomic_files import describe_error
from mlengine.stores.telemetry.counter_file import Cells, CounterFile

log = logging.getLogger(__name__)

_SUM, _BUCKETS_FROM = 0, 1
SKETCH_CELLS = _BUCKETS_FROM + BUCKETS

Key = tuple[str, ...]


class Counters:
    """Safe for threads; the file is made with the first count, in `folder`, if there is one."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._file: CounterFile | None = None
        self._counts: dict[Key, Cells] = {}
        self._sketches: dict[Key, LatencyCells] = {}

    def add(self, family: Family, *labels: str, amount: float = 1.0) -> None:
        """Count `amount` more; costs a quarter of a microsecond."""
        key = (family.name, *labels)
        cells = self._counts.get(key)
        if cells is None:
            cells = self._new_counter(key)
        with self._lock:
            cells[0] += amount

    def observe(self, family: Family, *labels: str, milliseconds: float, count: int = 1) -> None:
        """`count` latencies more, all alike."""
        key = (family.name, *labels)
        sketch = self._sketches.get(key) or self._new_sketch(key)
        bucket = bucket_of(milliseconds) + _BUCKETS_FROM
        cells = sketch.cells
        with self._lock:
            cells[bucket] += count
            cells[_SUM] += milliseconds * count
            sketch.longest_ms = max(sketch.longest_ms, milliseconds)

    def observe_all(self, family: Family, *labels: str, milliseconds: Sequence[float]) -> None:
        """Many latencies; those of a thousand cost as much as ten single ones."""
        if not milliseconds:
            return
        key = (family.name, *labels)
        sketch = self._sketches.get(key) or self._new_sketch(key)
        counts = Counter(map(bucket_of, milliseconds))
        cells = sketch.cells
        with self._lock:
            for bucket, count in counts.items():
                cells[bucket + _BUCKETS_FROM] += count
            cells[_SUM] += sum(milliseconds)
            sketch.longest_ms = max(sketch.longest_ms, *milliseconds)

    def values(self) -> dict[Key, tuple[float, ...]]:
        """The cells of this process alone."""
        cells = {**self._counts, **{key: each.cells for key, each in self._sketches.items()}}
        return {key: tuple(each) for key, each in cells.items()}

    def sketches(self, family: Family) -> dict[Key, LatencyCells]:
        """Those of this process, by labels."""
        name = family.name
        return {key[1:]: each for key, each in [*self._sketches.items()] if key[0] == name}

    def _new_counter(self, key: Key) -> Cells:
        with self._lock:
            if key not in self._counts:
                self._counts[key] = self._new_cells(key, 1)
            return self._counts[key]

    def _new_sketch(self, key: Key) -> LatencyCells:
        with self._lock:
            if key not in self._sketches:
                self._sketches[key] = LatencyCells(self._new_cells(key, SKETCH_CELLS))
            return self._sketches[key]

    def _new_cells(self, key: Key, count: int) -> Cells:
        """In memory alone where the file has no room, which `/metrics` of others does not see."""
        if self._folder is not None:
            try:
                self._file = self._file or CounterFile(self._folder)
                return self._file.add_series(orjson.dumps(key), count)
            except OSError as error:
                log.warning("counters kept in memory", extra={"reason": describe_error(error)})
        return memoryview(array("d", bytes(8 * count))).cast("B").cast("d")


class LatencyCells:
    """One sketch: `cells` are the sum in milliseconds, then the buckets."""

    __slots__ = ("cells", "longest_ms")

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self.longest_ms = 0.0

    def counts(self) -> tuple[float, ...]:
        """By bucket."""
        return tuple(self.cells[_BUCKETS_FROM:])
