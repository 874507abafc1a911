from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from tests.databases import bar_store
from tests.factories import random_bars
from tests.upstream import Fault, LoopbackUpstream

from mlengine.errors import MlengineError, UpstreamUnavailable
from mlengine.services.bars.service import BarService
from mlengine.services.bars.upstream.bulkhead import (
    UpstreamBulkhead,
    execution_slot,
    too_many_waits,
)
from mlengine.services.bars.upstream.circuit_breaker import CircuitBreaker
from mlengine.services.bars.windows import FetchPool, WindowFetcher, fetch_windows
from mlengine.stores.market_data.http import HttpMarketData
from mlengine.stores.system.dependency_states import DependencyStates

NOW = datetime(2024, 6, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SYMBOLS = [f"S{number}" for number in range(8)]


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    bars = [random_bars(s, rows=100, start=NOW - timedelta(days=100)) for s in SYMBOLS]
    with LoopbackUpstream(pl.concat(bars)) as running:
        yield running


def service(upstream: LoopbackUpstream, tmp_path, *, most: int = 1, seconds: float = 5.0):
    market = HttpMarketData(
        upstream.url,
        timeout_seconds=seconds,
        retry_attempts=0,
        retry_backoff_seconds=0,
        deadline_seconds=seconds,
    )
    return BarService(
        market,
        bar_store(tmp_path),
        "1d",
        0.0,
        DependencyStates(),
        recheck_seconds=0.0,
        max_stale_seconds=14_400,
        bulkhead=UpstreamBulkhead(most),
    )


def ask(one: BarService, symbol: str, now: datetime = NOW, as_of: datetime | None = None) -> object:
    try:
        return one.window(symbol, bars=20, as_of=as_of, now=now)
    except MlengineError as error:
        return error


@pytest.fixture
def hanging(upstream, tmp_path) -> Iterator[BarService]:
    """A question for S0 has the only place to wait; S1 and S2 are recorded."""
    one = service(upstream, tmp_path)
    ask(one, "S1")
    ask(one, "S2")
    asked = len(upstream.requests)
    upstream.always = Fault(delay_seconds=1.5)
    thread = threading.Thread(target=ask, args=(one, "S0"))
    thread.start()
    while len(upstream.requests) == asked:
        time.sleep(0.001)
    yield one
    thread.join()


def test_who_may_not_wait_is_refused_or_served_from_what_is_recorded(hanging, upstream):
    asked, began = len(upstream.requests), time.monotonic()
    for symbol, as_of in (("S3", None), ("S4", None), ("S3", NOW - timedelta(days=40))):
        refusal = ask(hanging, symbol, as_of=as_of)
        assert isinstance(refusal, UpstreamUnavailable)
        assert (refusal.retry_after_seconds, "UPSTREAM_MAX_WAITS" in refusal.reason) == (1, True)
    served = ask(hanging, "S1", NOW + 10 * SECOND)
    assert served.origin.upstream_age_seconds == 10.0
    assert (len(upstream.requests), time.monotonic() - began < 1.0) == (asked, True)
    assert hanging.states.state("upstream") == "ok"


def test_who_asks_for_what_is_being_asked_takes_no_place_from_others(upstream, tmp_path):
    """A hundred at once get the one answer; once theirs are taken, they are as others."""
    one = replace(service(upstream, tmp_path), bulkhead=UpstreamBulkhead(1, most_followers=20))
    upstream.always = Fault(delay_seconds=1.0)
    with ThreadPoolExecutor(30) as threads:
        leader = threads.submit(ask, one, "S0")
        while not upstream.requests:
            time.sleep(0.001)
        answers = list(threads.map(lambda _: ask(one, "S0"), range(24)))
    refused = [each for each in answers if isinstance(each, UpstreamUnavailable)]
    assert {each.reason for each in refused} == {too_many_waits().reason}
    assert len(refused) == 4
    assert not isinstance(leader.result(), MlengineError)
    assert len(upstream.requests) == 1


def test_a_batch_that_may_not_wait_does_not(hanging, upstream):
    asked = len(upstream.requests)
    fetch = WindowFetcher(hanging, 20, None, NOW + 10 * SECOND, time.perf_counter)
    windows = fetch_windows(fetch, ["S1", "S2", "S3", "S4"], FetchPool())
    assert (set(windows.complete), set(windows.refused)) == ({"S1", "S2"}, {"S3", "S4"})
    assert len(upstream.requests) == asked


def test_a_batch_waits_as_one(upstream, tmp_path):
    one = service(upstream, tmp_path)
    upstream.always = Fault(delay_seconds=0.05)
    fetch = WindowFetcher(one, 20, None, NOW, time.perf_counter)
    windows = fetch_windows(fetch, SYMBOLS, FetchPool())
    assert list(windows.complete) == SYMBOLS


def test_recorded_bars_serve_while_questions_hang(upstream, tmp_path):
    one = service(upstream, tmp_path, most=8)
    ask(one, "S1")
    clock = [0.0]
    breaker = one._views.live.upstream.breaker
    breaker._clock = lambda: clock[0]
    with breaker.attempt(NOW):
        clock[0] = 1.0
        assert ask(one, "S1", NOW + 10 * SECOND).origin.upstream_age_seconds is None
        clock[0], asked = 3.0, len(upstream.requests)
        assert ask(one, "S1", NOW + 20 * SECOND).origin.upstream_age_seconds == 10.0
        assert len(upstream.requests) == asked
        assert not isinstance(ask(one, "S3", NOW + 20 * SECOND), MlengineError)


def test_after_five_failures_one_question_finds_out_for_all(upstream, tmp_path):
    one = service(upstream, tmp_path, most=8)
    upstream.always = Fault(status=503)
    for symbol in SYMBOLS[:5]:
        assert "status 503" in ask(one, symbol).reason
    for number in range(20):
        refusal = ask(one, SYMBOLS[number % 8], NOW + SECOND)
        assert (refusal.reason, refusal.retry_after_seconds) == (
            "it has given no answer for some time",
            4,
        )
    assert len(upstream.requests) == 5
    for symbol in SYMBOLS:
        assert isinstance(ask(one, symbol, NOW + 5 * SECOND), UpstreamUnavailable)
    assert len(upstream.requests) == 6
    upstream.always = None
    assert not isinstance(ask(one, "S0", NOW + 11 * SECOND), MlengineError)
    assert not isinstance(ask(one, "S1", NOW + 11 * SECOND), MlengineError)


def test_an_outage_lasts_as_long_as_the_upstream_says():
    outage = CircuitBreaker()
    with pytest.raises(UpstreamUnavailable), outage.attempt(NOW):
        raise UpstreamUnavailable("later", 3600)
    assert not outage.may_ask(NOW + 3599 * SECOND)
    assert outage.may_ask(NOW + 3600 * SECOND)


def test_a_request_that_waits_leaves_its_work_to_another():
    waits, places = UpstreamBulkhead(1), threading.BoundedSemaphore(1)
    with execution_slot(places):
        assert not places.acquire(blocking=False)
        with waits.try_slot() as may_wait:
            assert may_wait
            with waits.try_slot() as nested, execution_slot(places):
                assert nested
        assert not places.acquire(blocking=False)
    assert places.acquire(blocking=False)
