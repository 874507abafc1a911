"""Predictions counted once they are audited, and how long their stages took."""

from collections import Counter
from collections.abc import Sequence

from mlengine.core.predictions.prediction import Latency
from mlengine.core.telemetry.families import PREDICTION_STAGES, PREDICTIONS
from mlengine.stores.audit.entries import AuditedFailure, AuditedPrediction, AuditEntry
from mlengine.stores.telemetry.counters import Counters

_STAGES = ("bars", "features", "model")
_NO_VERSION = "none"
# A sketch of many latencies at once costs a tenth of as many single ones.
_MOST_DEFERRED = 256


class PredictionCounts:
    """Safe for threads. Stages of the newest few hundred predictions wait to be counted."""

    def __init__(self, counters: Counters | None = None) -> None:
        self._counters = counters or Counters()
        self._deferred: list[Latency] = []

    def count(self, entries: Sequence[AuditEntry], version: str | None) -> None:
        """The entries of one request; `version` is the one that was loaded, if any was.

        The stages of a batch are those of its slowest prediction.
        """
        version = version or _NO_VERSION
        failed = Counter(e.failure.error_code for e in entries if isinstance(e, AuditedFailure))
        for code, count in failed.items():
            self._counters.add(PREDICTIONS, version, code, amount=count)
        answered = [e for e in entries if isinstance(e, AuditedPrediction)]
        if answered:
            self._counters.add(PREDICTIONS, version, "ok", amount=len(answered))
            slowest = max(answered, key=lambda entry: entry.prediction.latency_ms.total)
            self._observe(slowest.route, [slowest.prediction.latency_ms])

    def count_single(self, answers: Sequence[AuditedPrediction]) -> None:
        """Answers to as many requests for one symbol each; of one version, as good as always."""
        first = answers[0].prediction.model_version
        latencies = [each.prediction.latency_ms for each in answers]
        self._counters.add(PREDICTIONS, first, "ok", amount=len(answers))
        self._deferred += latencies
        if len(self._deferred) >= _MOST_DEFERRED:
            self.flush()

    def flush(self) -> None:
        """Count what waits."""
        deferred, self._deferred = self._deferred, []
        if deferred:
            self._observe("/predict", deferred)

    def _observe(self, route: str, latencies: Sequence[Latency]) -> None:
        for stage in _STAGES:
            reached = [ms for each in latencies if (ms := getattr(each, stage)) is not None]
            self._counters.observe_all(PREDICTION_STAGES, route, stage, milliseconds=reached)
