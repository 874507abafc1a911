"""The latencies of one process, from its counters into minutes, and from there into the table."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime

import numpy as np

from mlengine.core.arrays import Ints
from mlengine.core.telemetry.families import HTTP_DURATION, HTTP_REQUESTS, PREDICTION_STAGES
from mlengine.core.telemetry.latency_slots import (
    TOTAL,
    RouteSketch,
    RouteSketches,
    StageSketch,
    merge,
)
from mlengine.errors import DatabaseUnavailable
from mlengine.services.predictions.prediction_counts import PredictionCounts
from mlengine.stores.telemetry.counters import BUCKETS_FROM, Counters, Key, Sketch
from mlengine.stores.telemetry.latency_table import LatencyTable

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
# While the table can't be written; older minutes are given up.
_MOST_MINUTES = 60
_NO_LATENCIES = frozenset({"OPTIONS", "HEAD"})


class LatencyRecorder:
    """Safe for threads; `writer` tells the rows of this process from those of all others."""

    def __init__(
        self, counters: Counters, predictions: PredictionCounts, table: LatencyTable, writer: str
    ) -> None:
        self.writer = writer
        self._counters = counters
        self._predictions = predictions
        self._table = table
        self._lock = threading.Lock()
        self._sketches: dict[Key, Ints] = {}
        self._answered: dict[Key, int] = {}
        self._minutes: dict[datetime, RouteSketches] = {}
        self._unwritten: set[datetime] = set()

    def minutes(self, now: datetime) -> dict[datetime, RouteSketches]:
        """What was counted, by minute: of those at least that the table does not have whole."""
        with self._lock:
            self._collect(now)
            return dict(self._minutes)

    def flush(self, now: datetime) -> None:
        """Write what is new; a table that can't be written gets it the next time."""
        with self._lock:
            self._collect(now)
            unwritten = {start: self._minutes[start] for start in sorted(self._unwritten)}
        if not unwritten:
            return
        try:
            self._table.write(self.writer, unwritten)
        except DatabaseUnavailable as refusal:
            log.warning("latencies not written", extra={"reason": refusal.reason})
            return
        with self._lock:
            for start, written in unwritten.items():
                if self._minutes.get(start) is written:  # nothing has come since
                    self._unwritten.discard(start)

    def keep_flushing(self, clock: Callable[[], datetime]) -> None:
        """Flush every few seconds, for ever."""
        while True:
            time.sleep(FLUSH_SECONDS)
            self.flush(clock())

    def _collect(self, now: datetime) -> None:
        """Take what was counted since the last time into the minute of `now`."""
        self._predictions.flush()
        new = merge([*self._stages(), *self._answers()])
        minute = now.replace(second=0, microsecond=0)
        if new:
            self._minutes[minute] = merge([self._minutes.get(minute, {}), new])
            self._unwritten.add(minute)
        for start in sorted(self._minutes)[:-1]:
            if start not in self._unwritten or len(self._minutes) > _MOST_MINUTES:
                del self._minutes[start]
                self._unwritten.discard(start)

    def _stages(self) -> Iterator[RouteSketches]:
        for (route, method), sketch in self._counters.sketches_of(HTTP_DURATION).items():
            if method not in _NO_LATENCIES:
                yield from self._stage((HTTP_DURATION.name, route, method), route, TOTAL, sketch)
        for (route, stage), sketch in self._counters.sketches_of(PREDICTION_STAGES).items():
            yield from self._stage((PREDICTION_STAGES.name, route, stage), route, stage, sketch)

    def _stage(self, key: Key, route: str, stage: str, sketch: Sketch) -> Iterator[RouteSketches]:
        counts = np.asarray(sketch.cells)[BUCKETS_FROM:].astype(np.int64)
        before = self._sketches.get(key)
        new = counts if before is None else counts - before
        if new.any():
            self._sketches[key] = counts
            longest, sketch.longest_ms = sketch.longest_ms, 0.0
            yield {route: RouteSketch(stages={stage: StageSketch(new, longest)})}

    def _answers(self) -> Iterator[RouteSketches]:
        for key, count in self._counters.counts_of(HTTP_REQUESTS).items():
            route, method, status = key
            total = int(count.cells[0])
            new = total - self._answered.get(key, 0)
            if new and method not in _NO_LATENCIES:
                self._answered[key] = total
                errors, server_errors = (new if status >= least else 0 for least in ("400", "500"))
                yield {route: RouteSketch(new, errors, server_errors)}
