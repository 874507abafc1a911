from __future__ import annotations

import sqlite3
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.factories import START
from tests.patience import patience
from tests.platforms import NOW, ROWS, SYMBOLS, make_platform

from mlengine.bootstrap.platform import Platform
from mlengine.errors import InvalidRequest, NoActiveModel, UnknownSymbol
from mlengine.services.predictions.prediction_builder import PredictionRequest

LAST_BAR = START + timedelta(days=ROWS - 1)


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return make_platform(tmp_path)


def predict_days(platform: Platform, days: int, *, times: int = 1) -> None:
    for _ in range(times):
        for day in range(days):
            platform.predict.predict_batch(
                SYMBOLS,
                PredictionRequest(
                    as_of=LAST_BAR - timedelta(days=day),
                    request_id="req",
                    now=NOW,
                    route="/predict/batch",
                ),
            )


def test_too_few_bars_is_insufficient_data_and_never_zero(platform: Platform) -> None:
    predict_days(platform, 16)
    answer = platform.monitoring.drift(window=250, version=None, now=NOW)
    assert answer.status == "insufficient_data"
    assert answer.n_current == 48
    assert all(feature.psi is None for feature in answer.features)
    assert not platform.monitoring.history(kind="drift_checked", limit=10, cursor=None).rows


def test_a_bar_counts_once_however_often_it_was_asked_for(platform: Platform) -> None:
    predict_days(platform, 10, times=5)
    answer = platform.monitoring.drift(window=250, version=None, now=NOW)
    assert answer.n_current == 30


def test_enough_bars_are_compared_without_a_verdict(platform: Platform) -> None:
    predict_days(platform, 20)
    answer = platform.monitoring.drift(window=250, version="v1", now=NOW)
    assert answer.status == "uncalibrated"
    assert answer.model_version == "v1"
    assert {feature.drifted for feature in answer.features} == {None}
    assert any(feature.psi for feature in answer.features)
    assert answer.prediction_drift is not None
    assert answer.prediction_drift.psi is not None
    (event,) = platform.monitoring.history(kind="drift_checked", limit=10, cursor=None).rows
    assert event.details["status"] == "uncalibrated"


def notes(platform: Platform) -> list[tuple[str | None, object]]:
    page = platform.monitoring.history(kind="drift_checked", limit=100, cursor=None)
    return [(event.version, event.details["status"]) for event in page.rows]


def test_a_drift_check_is_noted_only_where_its_status_is_news(platform: Platform) -> None:
    predict_days(platform, 20)
    for hours in (0, 0, 2):
        platform.monitoring.drift(window=250, version=None, now=NOW + timedelta(hours=hours))
    assert notes(platform) == [("v1", "uncalibrated")]


@pytest.mark.parametrize(("minutes", "noted"), [(59, 0), (60, 1)])
def test_a_status_that_goes_to_and_fro_is_noted_once_an_hour(
    platform: Platform, minutes: int, noted: int
) -> None:
    predict_days(platform, 20)
    before = {"status": "ok", "n_current": 60}
    platform.control.events.append(
        "drift_checked", at=NOW, version="v1", actor=None, details=before
    )
    for _ in range(2):
        platform.monitoring.drift(window=250, version=None, now=NOW + timedelta(minutes=minutes))
    assert notes(platform) == [("v1", "uncalibrated")] * noted + [("v1", "ok")]


def test_a_note_that_can_not_be_written_costs_the_check_only_a_line(
    platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predict_days(platform, 20)
    holder = sqlite3.connect(tmp_path / "artifacts" / "audit.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    answer = platform.monitoring.drift(window=250, version=None, now=NOW)
    assert time.monotonic() - started < patience(3)
    holder.close()
    assert answer.status == "uncalibrated"
    assert [record.message for record in caplog.records] == ["drift check not noted"]
    assert notes(platform) == []


def test_the_window_takes_the_newest_bars(platform: Platform) -> None:
    predict_days(platform, 25)
    assert platform.monitoring.drift(window=60, version=None, now=NOW).n_current == 60


def test_drift_needs_a_model(tmp_path: Path) -> None:
    empty = make_platform(tmp_path, models=0)
    with pytest.raises(NoActiveModel):
        empty.monitoring.drift(window=50, version=None, now=NOW)
    assert empty.monitoring.freshness(now=NOW).model is None


def test_freshness_tells_the_age_of_bars_model_and_answers(platform: Platform) -> None:
    assert platform.monitoring.freshness(now=NOW).symbols == ()
    platform.predict.predict_batch(
        SYMBOLS,
        PredictionRequest(request_id="req", now=NOW, route="/predict/batch"),
    )
    found = platform.monitoring.freshness(now=NOW)
    (first, *_) = found.symbols
    assert [each.symbol for each in found.symbols] == list(SYMBOLS)
    assert first.last_bar == LAST_BAR
    age = NOW - LAST_BAR - timedelta(days=1)
    assert first.age_seconds == age.total_seconds(), "since it was final"
    assert first.age_bars == age / timedelta(days=1)
    assert first.stale
    assert found.model is not None
    assert found.model.version == "v1"
    assert found.last_prediction_at == NOW


def test_a_backtest_makes_no_feed_look_dead(platform: Platform) -> None:
    predict_days(platform, 2)
    found = platform.monitoring.freshness(now=NOW)
    assert found.symbols == ()
    assert found.last_prediction_at == NOW, "an answer it was all the same"


def test_latency_has_exact_quantiles_by_route_and_stage(platform: Platform) -> None:
    predict_days(platform, 5)
    for _ in range(2):
        with pytest.raises(UnknownSymbol):
            platform.predict.predict(
                "NONE",
                PredictionRequest(request_id="r", now=NOW),
            )
    found = {
        (line.route, line.stage): line
        for line in platform.monitoring.latency(window_seconds=60, now=NOW).routes
    }
    batch = found["/predict/batch", "total"]
    assert batch.count == 15
    assert batch.error_rate == 0.0
    assert batch.max_ms is not None
    assert batch.p50_ms is not None
    assert batch.p50_ms <= batch.max_ms
    failed = found["/predict", "model"]
    assert (failed.count, failed.error_rate, failed.p99_ms, failed.max_ms) == (0, 1.0, None, None)
    assert platform.monitoring.latency(window_seconds=1, now=NOW + timedelta(days=1)).routes == ()


def test_history_pages_from_the_newest_on(platform: Platform) -> None:
    for _ in range(3):
        platform.models.reload(actor="ann", now=NOW)
    first = platform.monitoring.history(kind=None, limit=2, cursor=None)
    rest = platform.monitoring.history(kind=None, limit=10, cursor=first.next_cursor)
    assert [event.kind for event in first.rows] == ["reloaded", "reloaded"]
    assert [event.kind for event in rest.rows] == ["reloaded", "activated"]
    assert rest.next_cursor is None
    with pytest.raises(InvalidRequest):
        platform.monitoring.history(kind=None, limit=2, cursor="x")


def test_history_is_filtered_by_kind_actor_and_time(platform: Platform) -> None:
    for hours, actor in enumerate(["ann", "bob", "ann"]):
        platform.models.reload(actor=actor, now=NOW + timedelta(hours=hours))

    def found(kind: str | None = "reloaded", **wanted: Any) -> list[tuple[str | None, datetime]]:
        page = platform.monitoring.history(kind=kind, limit=10, cursor=None, **wanted)
        return [(event.actor, event.at) for event in page.rows]

    second, third = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    assert found(actor="ann") == [("ann", third), ("ann", NOW)]
    assert found(since=second) == [("ann", third), ("bob", second)]
    assert found(until=second) == [("ann", NOW)]
    assert found(actor="bob", since=NOW, until=third) == [("bob", second)]
    assert found("trained", actor="ann") == []
