"""Bars where the store can't be used, has nothing to record, or more than memory should hold."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.databases import bar_store
from tests.factories import random_bars
from tests.patience import eventually
from tests.upstream import Fault, LoopbackUpstream, queries

from mlengine.core.bars.bars import BarArrays
from mlengine.errors import DatabaseUnavailable, UpstreamUnavailable
from mlengine.services.bars.service import BarService
from mlengine.services.bars.upstream import recorded_upstream
from mlengine.stores.market_data.http import HttpMarketData
from mlengine.stores.system.dependency_states import DependencyStates

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
SECOND = timedelta(seconds=1)
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
TODAY = datetime(2024, 6, 1, tzinfo=UTC)
BARS = random_bars(rows=500, start=TODAY - 499 * DAY)
WINDOW = 20


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream(BARS) as running:
        yield running


@pytest.fixture
def service(upstream: LoopbackUpstream, tmp_path: Path) -> BarService:
    market = HttpMarketData(
        upstream.url,
        timeout_seconds=2,
        retry_attempts=0,
        retry_backoff_seconds=0,
        deadline_seconds=5.0,
    )
    store, states = bar_store(tmp_path), DependencyStates()
    return BarService(market, store, "1d", 5.0, states, max_stale_seconds=7200.0)


def live(service: BarService, now: datetime, *, bars: int = WINDOW) -> BarArrays:
    return service.window("AAA", bars=bars, as_of=None, now=now).bars


def lose_table(service: BarService) -> None:
    with service.store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE bar_series RENAME TO other")


def test_bars_serve_through_an_outage_that_cannot_be_recorded(
    service: BarService, upstream: LoopbackUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    before = live(service, NOW)
    lose_table(service)
    upstream.always = Fault(status=503)
    caplog.set_level(logging.WARNING, recorded_upstream.__name__)
    served = service.window("AAA", bars=WINDOW, as_of=None, now=NOW + HOUR)
    assert served.bars.bars_hash == before.bars_hash
    assert served.origin.upstream_age_seconds == 3600.0
    assert "outage not recorded" in {record.message for record in caplog.records}


def test_a_moment_after_the_last_answer_is_refused_where_nothing_is_recorded_of_it(
    service: BarService, upstream: LoopbackUpstream
) -> None:
    live(service, NOW)
    lose_table(service)
    upstream.always = Fault(status=503)
    then, asked = NOW + HOUR / 2, []
    for second in range(8):
        with pytest.raises(UpstreamUnavailable):
            service.window("AAA", bars=WINDOW, as_of=then, now=NOW + HOUR + second * SECOND / 10)
        asked.append(len(upstream.requests))
    assert asked[-1] == asked[-2], "it is down for good"
    upstream.always = None
    later = NOW + HOUR + 10 * SECOND
    assert service.window("AAA", bars=WINDOW, as_of=then, now=later).bars.rows == WINDOW


def test_an_ingestion_that_cannot_be_recorded_is_refused(service: BarService) -> None:
    lose_table(service)
    with pytest.raises(DatabaseUnavailable, match="could not be recorded"):
        service.ingest("AAA", now=NOW)


def test_a_symbol_without_a_final_bar_is_not_recorded(
    service: BarService, upstream: LoopbackUpstream
) -> None:
    upstream.serve(BARS.tail(1))
    assert service.history("AAA", bars=5, as_of=None, now=NOW).arrays.rows == 0
    assert service.store.recording_counts("1d") == {}
    assert service.history("AAA", bars=5, as_of=None, now=NOW + DAY).arrays.rows == 1
    assert list(service.store.recording_counts("1d")) == ["AAA"]


def test_of_a_long_recording_no_more_stays_in_memory_than_is_asked_for(
    service: BarService, upstream: LoopbackUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_upstream, "_BARS_IN_MEMORY", 10)
    live(service, NOW, bars=200)
    service.cache.expire({})
    few = live(service, NOW + HOUR, bars=5)
    held = service.cache.newest("AAA")
    assert held is not None
    assert few.rows == 5
    assert held.arrays.rows == 10
    asked = len(upstream.requests)
    assert live(service, NOW + HOUR, bars=200).bars_hash == BarArrays.of(BARS[299:499]).bars_hash
    assert len(upstream.requests) == asked, "all of them are recorded"


def test_a_tail_too_long_for_a_request_is_not_asked_for(
    service: BarService, upstream: LoopbackUpstream
) -> None:
    upstream.interval, later = "1m", TODAY + 20 * DAY
    minutes = replace(service, interval="1m")
    upstream.serve(random_bars(rows=100, interval="1m", start=TODAY - 100 * MINUTE))
    assert live(minutes, TODAY).last_timestamp == TODAY - MINUTE
    upstream.serve(random_bars(rows=100, interval="1m", start=later - 100 * MINUTE))
    asked = len(upstream.requests)
    assert live(minutes, later).last_timestamp == later - MINUTE
    (start, *_) = queries(upstream.requests[asked:], "start")
    assert start > "2024-06-20", "those of now, not all since then"


def test_whoever_wants_more_than_another_asked_for_asks_again(
    service: BarService, upstream: LoopbackUpstream
) -> None:
    upstream.always = Fault(status=200, delay_seconds=0.1)
    with ThreadPoolExecutor(2) as threads:
        few = threads.submit(live, service, NOW)
        assert eventually(lambda: bool(upstream.requests))
        many = threads.submit(live, service, NOW, bars=200)
        assert few.result().rows == WINDOW
        assert many.result().rows == 200
    assert len(upstream.requests) == 2


def test_a_clock_that_was_set_back_knows_only_the_bars_of_then(
    service: BarService,
) -> None:
    live(service, NOW)
    then = NOW - 30 * DAY
    known = service.history("AAA", bars=WINDOW, as_of=None, now=then).arrays
    assert 0 < known.rows < WINDOW
    assert known.last_known_at <= then
