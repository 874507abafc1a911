"""Predictions counted once they are audited, and how long their stages took."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.predictions.prediction import Latency
from mlengine.core.telemetry.families import CACHE_LOOKUPS, PREDICTION_STAGES, PREDICTIONS
from mlengine.core.telemetry.latency_sketch import BUCKETS, BUCKETS_A_DOUBLING
from mlengine.stores.audit.entries import AuditedFailure, AuditedPrediction, AuditEntry
from mlengine.stores.telemetry.counters import BUCKETS_FROM, SUM, Counters, Sketch

_STAGES = ("bars", "features", "model")
NO_VERSION = "none"
# A sketch of many latencies at once costs a fifth of as many single ones.
_MOST_DEFERRED = 512


class PredictionCounts:
    """Safe for threads. Stages of the newest few hundred predictions wait to be counted."""

    def __init__(self, counters: Counters | None = None) -> None:
        self._counters = counters or Counters()
        self._hits = lru_cache(1)(lambda: self._counters.count(CACHE_LOOKUPS, "hit"))
        self._answered = lru_cache(64)(
            lambda version: self._counters.count(PREDICTIONS, version, "ok")
        )
        self._deferred: list[Latency] = []

    def count(self, entries: Sequence[AuditEntry], version: str) -> None:
        """The entries of one request; `version` is the key of the one that was loaded.

        Where none was, it is NO_VERSION of the line.

        The stages of a batch are those of its slowest prediction.
        """
        failed = Counter(e.failure.error_code for e in entries if isinstance(e, AuditedFailure))
        for code, count in failed.items():
            self._counters.count(PREDICTIONS, version, code).add(count)
        answered = [e for e in entries if isinstance(e, AuditedPrediction)]
        if answered:
            self._answered(version).add(len(answered))
            slowest = max(answered, key=lambda entry: entry.prediction.latency_ms.total)
            for stage in _STAGES:
                milliseconds = getattr(slowest.prediction.latency_ms, stage)
                if milliseconds is not None:
                    self._sketch(slowest.route, stage).observe(milliseconds)

    def count_single(self, answers: Sequence[AuditedPrediction]) -> None:
        """Answers from memory to as many requests."""
        for key, count in Counter(each.prediction.model_key for each in answers).items():
            self._answered(key).add(count)
        self._hits().add(len(answers))
        self._deferred += [each.prediction.latency_ms for each in answers]
        if len(self._deferred) >= _MOST_DEFERRED:
            self.flush()

    def flush(self) -> None:
        """Count what waits."""
        deferred, self._deferred = self._deferred, []
        if deferred:
            rows = np.array([(each.bars, each.features, each.model) for each in deferred], float)
            for stage, column in zip(_STAGES, rows.T, strict=True):
                _observe_all(self._sketch("/predict", stage), column)

    def _sketch(self, route: str, stage: str) -> Sketch:
        return self._counters.sketch(PREDICTION_STAGES, route, stage)


def _observe_all(sketch: Sketch, milliseconds: Floats) -> None:
    """As `Sketch.observe` of each that is a number."""
    milliseconds = milliseconds[np.isfinite(milliseconds)]
    if not len(milliseconds):
        return
    buckets = np.log2(np.maximum(milliseconds * 1000.0, 1.0)) * BUCKETS_A_DOUBLING
    counts = np.bincount(np.minimum(buckets.astype(np.int64), BUCKETS - 1), minlength=BUCKETS)
    with sketch.lock:
        cells = np.asarray(sketch.cells)
        cells[BUCKETS_FROM:] += counts
        cells[SUM] += milliseconds.sum()
        sketch.longest_ms = max(sketch.longest_ms, float(milliseconds.max()))
