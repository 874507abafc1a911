from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from tests.databases import (
    FEATURE_SET,
    NOW,
    answered,
    failed,
    new_database,
    opened,
    window_of,
)

from mlengine.errors import InvalidRequest
from mlengine.stores.audit.filter import AuditFilter
from mlengine.stores.audit.reader import LATENCY_SCHEMA
from mlengine.stores.audit.store import AuditStore


@pytest.fixture
def store(tmp_path):
    with opened(new_database(tmp_path / "audit.db")) as engine:
        yield AuditStore(engine)


def _ids(page) -> list[str]:
    return [row.prediction_id for row in page.rows]


def _recent(store: AuditStore, *, cursor: str | None = None, **conditions) -> list[str]:
    return _ids(store.recent(AuditFilter(**conditions), limit=200, cursor=cursor))


def _vectors(store: AuditStore, **chosen) -> pl.DataFrame:
    usual = {"feature_set_hash": FEATURE_SET.hash, "model_version": "v1", "rows": 100}
    return store.vectors(**{**usual, "names": ("a", "b", "c"), **chosen})


def test_pages_go_on_where_they_ended_whatever_was_added(store):
    store.append([answered(n) for n in range(1, 6)])
    first = store.recent(limit=2)
    store.append([answered(6)])
    second = store.recent(limit=3, cursor=first.next_cursor)
    assert (_ids(first), _ids(second)) == (["p5", "p4"], ["p3", "p2", "p1"])
    assert second.next_cursor is None


def test_rows_of_one_symbol_or_version_are_found(store):
    store.append([answered(1), answered(2, symbol="BBB"), answered(3, model_version="v2")])
    store.append([failed(4, symbol="BBB")])
    assert _recent(store, symbol="BBB") == ["p4", "p2"]
    assert _recent(store, version="v2") == ["p3"]
    assert _recent(store, symbol="BBB", version="v1") == ["p4", "p2"]
    assert _recent(store, symbol="CCC") == []


def test_a_foreign_cursor_is_refused(store):
    with pytest.raises(InvalidRequest):
        _recent(store, cursor="nonsense")


def test_a_cursor_from_before_a_clearing_shows_no_newer_row(store):
    store.append([answered(n) for n in range(1, 4)])
    cursor = store.recent(limit=1).next_cursor
    store.clear(actor="ann", at=NOW)
    store.append([answered(4)])
    assert _recent(store, cursor=cursor) == []
    assert _recent(store) == ["p4"]


def test_drift_sees_each_bar_once_by_its_last_answer(store):
    store.append([answered(1, probability_up=0.25), answered(2, symbol="BBB", day=1)])
    store.append([answered(3, probability_up=0.75), answered(4, day=2), failed(5)])
    frame = _vectors(store)
    bars = [
        (window_of(s, day=d)["timestamp"][-1], s) for s, d in (("AAA", 0), ("BBB", 1), ("AAA", 2))
    ]
    assert list(zip(frame["timestamp"], frame["symbol"], strict=True)) == bars
    assert frame["score"].to_list() == [0.75, 0.1 + 0.2, 0.1 + 0.2]
    assert frame["a"].to_list() == [0.0, 1.0, 2.0]
    assert frame["b"].to_list() == [None] * 3
    assert frame["c"].to_list() == [np.nextafter(0.1, 1.0)] * 3


def test_a_bar_whose_history_was_revised_counts_once(store):
    revised = answered(2, bars_hash="9" * 64, probability_up=0.9)
    store.append([answered(1), revised])
    assert _vectors(store)["score"].to_list() == [0.9]


def test_drift_takes_the_newest_bars_of_one_model_and_feature_set(store):
    other = replace(FEATURE_SET, hash="a" * 64)
    store.append([answered(n, day=n) for n in range(5)])
    store.append([answered(7, day=7, model_version="v2"), answered(8, day=8, feature_set=other)])
    assert _vectors(store, rows=2)["a"].to_list() == [3.0, 4.0]
    assert _vectors(store, model_version="v2")["a"].to_list() == [7.0]
    assert _vectors(store, feature_set_hash="a" * 64)["a"].to_list() == [8.0]


def test_drift_of_a_return_model_sees_its_expected_return(store):
    store.append([answered(1, objective="return", probability_up=None, expected_return=0.01)])
    assert _vectors(store)["score"].to_list() == [0.01]


def test_drift_of_a_z_score_model_sees_its_score(store):
    store.append([answered(1, objective="return", probability_up=None, expected_score=1.5)])
    assert _vectors(store)["score"].to_list() == [1.5]


def test_without_vectors_the_frame_is_empty_and_typed(store):
    store.append([failed(1)])
    frame = _vectors(store)
    assert frame.height == 0
    assert dict(frame.schema) == {
        "symbol": pl.String(),
        "timestamp": pl.Datetime("us", "UTC"),
        "score": pl.Float64(),
        **dict.fromkeys("abc", pl.Float64()),
    }


def test_latencies_hold_every_row_since_a_moment(store):
    store.append([answered(1), answered(2), failed(3)])
    frame = store.latencies(NOW + timedelta(seconds=2), limit=9)
    assert frame.rows() == [
        ("/predict", True, 0.1, 0.2, 0.30000000000000004, 1e-3),
        ("/predict", False, 2.0, None, None, 2.5),
    ]
    empty = store.latencies(NOW + timedelta(seconds=4), limit=9)
    assert (empty.height, dict(empty.schema)) == (0, LATENCY_SCHEMA)


def test_latencies_of_a_long_time_are_those_of_its_newest_rows(store):
    store.append([answered(1), answered(2), failed(3)])
    assert store.latencies(NOW, limit=2)["ok"].to_list() == [True, False]


def test_the_last_prediction_is_the_last_that_was_answered(store):
    assert store.last_prediction_at() is None
    store.append([answered(1), answered(2), failed(3)])
    assert store.last_prediction_at() == NOW + timedelta(seconds=2)
