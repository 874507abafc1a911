from __future__ import annotations

import dataclasses

import pytest
from tests.databases import answered

from mlengine.core.predictions.prediction import Latency
from mlengine.core.telemetry.families import PREDICTION_STAGES
from mlengine.services.predictions.prediction_counts import PredictionCounts
from mlengine.stores.audit.entries import AuditedPrediction
from mlengine.stores.telemetry.counters import Counters

LATENCIES = [(0.0, 1e-9, 0.001), (0.5, 3.25, 80.0), (0.5, None, 1e9)]


def answer_in(bars: float | None, features: float | None, model: float | None) -> AuditedPrediction:
    entry = answered(1)
    latency = Latency(bars, features, model, total=1.0)
    prediction = entry.prediction.with_changes({"latency_ms": latency})
    return dataclasses.replace(entry, prediction=prediction)


def test_many_answers_at_once_count_as_one_by_one() -> None:
    at_once, single = Counters(), Counters()
    entries = [answer_in(*each) for each in LATENCIES]
    counts = PredictionCounts(at_once)
    counts.count_single(entries)
    counts.flush()
    for entry in entries:
        version = entry.prediction.model_version
        PredictionCounts(single).count([entry], version)
    values = at_once.values()
    assert values.pop(("feature_cache_lookups_total", "hit")) == (3.0,)
    assert values.keys() == single.values().keys()
    for key, cells in single.values().items():
        assert values[key] == pytest.approx(cells)
    sketches = at_once.sketches_of(PREDICTION_STAGES)
    assert sketches["/predict", "features"].longest_ms == 3.25


def test_a_batch_counts_the_stages_of_its_slowest() -> None:
    counters = Counters()
    slow, fast = answer_in(9.0, 2.0, 1.0), answer_in(0.1, 2.0, 1.0)
    prediction = fast.prediction.with_changes({"latency_ms": Latency(0.1, 2.0, 1.0, total=0.5)})
    fast = dataclasses.replace(fast, prediction=prediction)
    PredictionCounts(counters).count([fast, slow, fast], "v1")
    (cells,) = (v for k, v in counters.values().items() if k[-1] == "bars")
    assert (cells[0], sum(cells[1:])) == (9.0, 1.0)
    assert counters.values()["predictions_total", "v1", "ok"] == (3.0,)
