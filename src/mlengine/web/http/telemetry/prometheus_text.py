"""The text format of Prometheus, as its client library writes it."""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from mlengine.core.telemetry.families import BOUNDS_MS, Samples

MEDIA_TYPE = "text/plain"
CONTENT_TYPE = f"{MEDIA_TYPE}; version=0.0.4; charset=utf-8"

_BOUNDS = [*(repr(bound / 1000.0) for bound in BOUNDS_MS), "+Inf"]


def encode(samples: Sequence[Samples]) -> bytes:
    """All families that have a value, with their help."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(samples))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, samples: Sequence[Samples]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        for each in self._samples:
            if each.samples:
                yield _metric(each)


def _metric(found: Samples) -> Metric:
    family = found.family
    name, text, labels = family.full_name, family.help, family.labels
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(name, text, labels=labels)
        for each in found.samples:
            buckets = list(zip(_BOUNDS, each.counts, strict=True))
            histogram.add_metric(each.labels, buckets, each.value)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(name, text, labels=labels)
    for each in found.samples:
        metric.add_metric(each.labels, each.value)
    return metric
