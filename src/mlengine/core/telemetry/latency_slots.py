"""The latencies of a slot of time, by route and stage: what is stored, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from mlengine.core.arrays import Ints
from mlengine.core.telemetry.latency_sketch import BUCKETS, quantile_ms

TOTAL = "total"
PREDICTION_STAGES = ("bars", "features", "model", TOTAL)
PREDICTION_ROUTES = frozenset({"/predict", "/predict/batch"})


def no_counts() -> Ints:
    return np.zeros(BUCKETS, np.int64)


@dataclass(eq=False)
class StageSketch:
    """Latencies of one stage; `counts` are by bucket of `latency_sketch`, int64, (BUCKETS,)."""

    counts: Ints = field(default_factory=no_counts)
    longest_ms: float = 0.0

    def add(self, other: StageSketch) -> None:
        self.counts += other.counts
        self.longest_ms = max(self.longest_ms, other.longest_ms)


@dataclass(eq=False)
class RouteSketch:
    """Requests to one route; `errors` were answered with 400 or more, some with 500 or more."""

    answers: int = 0
    errors: int = 0
    server_errors: int = 0
    stages: dict[str, StageSketch] = field(default_factory=dict)

    def add(self, other: RouteSketch) -> None:
        self.answers += other.answers
        self.errors += other.errors
        self.server_errors += other.server_errors
        for stage, sketch in other.stages.items():
            self.stages.setdefault(stage, StageSketch()).add(sketch)


RouteSketches: TypeAlias = dict[str, RouteSketch]


@dataclass(frozen=True)
class StageLatency:
    """Quantiles of a stage, each within 2.2 % of the exact one; the longest is exact.

    `error_rate` is the route's: the share of its answers with a status of 400 or more, and
    `server_error_rate` that of 500 or more.
    """

    route: str
    stage: str
    count: int
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    error_rate: float
    server_error_rate: float = 0.0


def merge(parts: Iterable[RouteSketches]) -> RouteSketches:
    """The sketches of all parts; these stay as they are."""
    merged: RouteSketches = {}
    for part in parts:
        for route, sketch in part.items():
            merged.setdefault(route, RouteSketch()).add(sketch)
    return merged


def stage_latencies(sketches: RouteSketches) -> tuple[StageLatency, ...]:
    """One entry a route and stage; one of predictions has all stages, reached or not."""
    return tuple(
        _stage_latency(route, stage, sketches[route])
        for route in sorted(sketches)
        for stage in (PREDICTION_STAGES if route in PREDICTION_ROUTES else (TOTAL,))
    )


def _stage_latency(route: str, stage: str, of_route: RouteSketch) -> StageLatency:
    sketch = of_route.stages.get(stage) or StageSketch()
    reached = np.flatnonzero(sketch.counts).tolist()
    counts = dict(zip(reached, sketch.counts[reached].tolist(), strict=True))
    p50, p90, p99 = (
        quantile_ms(counts, share, longest_ms=sketch.longest_ms) for share in (0.5, 0.9, 0.99)
    )
    answers = max(of_route.answers, 1)
    return StageLatency(
        route,
        stage,
        count=sum(counts.values()),
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        max_ms=sketch.longest_ms if counts else None,
        error_rate=of_route.errors / answers,
        server_error_rate=of_route.server_errors / answers,
    )
