from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.factories import START
from tests.platforms import NOW, ROWS, SYMBOLS, make_platform

from mlengine.bootstrap.platform import Platform
from mlengine.core.predictions.prediction import FailedPrediction
from mlengine.errors import InvalidRequest
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


def test_who_is_asked_for_no_more_has_no_stale_feed(platform: Platform) -> None:
    """A bar that nobody asked for since it was late tells nothing of its feed."""
    fresh, week = LAST_BAR + timedelta(days=1, minutes=5), timedelta(days=7)

    def ask(symbols: tuple[str, ...], at: datetime, as_of: datetime | None = None) -> None:
        request = PredictionRequest(request_id="req", now=at, as_of=as_of)
        platform.predict.predict_batch(symbols, request)

    def states(at: datetime) -> dict[str, str]:
        found = platform.monitoring.freshness(now=at).symbols
        return {s.symbol: "unasked" if s.unasked else "stale" if s.stale else "ok" for s in found}

    ask(SYMBOLS, fresh)
    assert states(fresh) == dict.fromkeys(SYMBOLS, "ok")
    ask(("AAA",), fresh + week)
    ask(("BBB",), fresh + week, as_of=fresh)
    assert states(fresh + week) == {"AAA": "stale", "BBB": "unasked", "CCC": "unasked"}
    assert states(fresh + 2 * week)["AAA"] == "stale"
    assert states(fresh + 3 * week)["AAA"] == "unasked"
    found = {
        (each.family.name, *sample.labels): sample.value
        for each in platform.metrics.gauges.read(fresh + week)
        for sample in each.samples
    }
    assert [found["symbols", state] for state in ("fresh", "stale", "unasked")] == [0, 1, 2]
    assert found["bar_age_bars",] == pytest.approx(7, abs=0.1)


def test_bars_are_read_again_once_there_is_a_newer_question(platform: Platform) -> None:
    audit, reads = platform.monitoring.audit, list[str]()

    class CountingReader:
        def __getattr__(self, name: str) -> Any:
            def read(*asked: Any, **named: Any) -> Any:
                reads.append(name)
                return getattr(audit, name)(*asked, **named)

            return read

    monitoring = replace(platform.monitoring, audit=CountingReader())
    for expected in (1, 2):
        platform.predict.predict("AAA", PredictionRequest(request_id="req", now=NOW))
        answers = [monitoring.freshness(now=NOW) for _ in range(3)]
        assert answers[0] == answers[1] == answers[2]
        assert [reads.count(name) for name in ("last_live_bars", "last_asked")] == [expected] * 2
    platform.audit.clear(actor="ann", now=NOW)
    assert monitoring.freshness(now=NOW).symbols == ()


def test_a_question_that_fails_is_one_all_the_same(platform: Platform, tmp_path: Path) -> None:
    fresh, week = LAST_BAR + timedelta(days=1, minutes=5), timedelta(days=7)
    ask = platform.predict.predict_batch
    ask(["AAA"], PredictionRequest(request_id="req", now=fresh))
    (tmp_path / "bars" / "AAA.parquet").unlink()
    (failed,) = ask(["AAA"], PredictionRequest(request_id="req", now=fresh + week)).results
    assert isinstance(failed, FailedPrediction), failed
    (found,) = platform.monitoring.freshness(now=fresh + week).symbols
    assert found.stale


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
