from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from tests.databases import bar_store
from tests.factories import random_bars
from tests.patience import patience
from tests.upstream import Fault, LoopbackUpstream, queries

from mlengine.errors import InsufficientBars, UnknownSymbol, UpstreamUnavailable
from mlengine.services.bars.service import BarService
from mlengine.services.bars.windows import FetchedWindows, FetchPool, WindowFetcher, fetch_windows
from mlengine.stores.market_data.http import HttpMarketData
from mlengine.stores.system.dependency_states import DependencyStates

NOW = datetime(2024, 6, 1, tzinfo=UTC)
SYMBOLS = [f"S{number:02d}" for number in range(24)]


def bars_of(symbol: str, *, rows: int = 100) -> pl.DataFrame:
    return random_bars(symbol, rows=rows, start=NOW - timedelta(days=rows))


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream(pl.concat(bars_of(symbol) for symbol in SYMBOLS)) as running:
        yield running


@pytest.fixture
def service(upstream, tmp_path) -> BarService:
    market = HttpMarketData(
        upstream.url,
        timeout_seconds=2,
        retry_attempts=0,
        retry_backoff_seconds=0,
        deadline_seconds=2,
    )
    return BarService(market, bar_store(tmp_path), "1d", 0.0, DependencyStates())


@pytest.fixture
def pool() -> Iterator[FetchPool]:
    pool = FetchPool()
    yield pool
    pool.threads.shutdown()


def fetch(service: BarService, symbols: list[str], pool: FetchPool) -> FetchedWindows:
    return fetch_windows(WindowFetcher(service, 20, None, NOW, time.perf_counter), symbols, pool)


def test_a_batch_brings_the_same_bars_as_single_questions_in_the_order_asked(service, pool):
    asked = SYMBOLS[::-1]
    windows = fetch(service, asked, pool)
    assert list(windows.complete) == asked
    assert windows.refused == {}
    for symbol in asked:
        alone = fetch(service, [symbol], pool).complete[symbol]
        known = windows.complete[symbol].frame()
        assert known.equals(alone.frame())
        assert known.equals(bars_of(symbol).tail(20))


def test_a_slow_upstream_is_asked_side_by_side(service, upstream, pool):
    upstream.always = Fault(delay_seconds=0.15)
    began = time.monotonic()
    assert len(fetch(service, SYMBOLS, pool).complete) == 24
    assert time.monotonic() - began < patience(0.15 * 24 / 2)


def test_one_deadline_holds_for_the_whole_batch(service, upstream):
    upstream.always = Fault(delay_seconds=0.2)
    with ThreadPoolExecutor(2) as threads:
        began = time.monotonic()
        windows = fetch(service, SYMBOLS, FetchPool(0.5, threads))
        assert time.monotonic() - began < patience(1.0)
    assert 0 < len(windows.complete) <= 4
    assert len(windows.complete) + len(windows.refused) == 24
    assert {type(error) for error in windows.refused.values()} == {UpstreamUnavailable}
    assert len(upstream.requests) <= 6


def test_what_the_batch_had_no_time_for_says_nothing_about_the_upstream(service, upstream):
    with ThreadPoolExecutor(1) as threads:
        windows = fetch(service, SYMBOLS, FetchPool(0.0, threads))
    assert set(windows.refused) == set(SYMBOLS)
    assert {error.code for error in windows.refused.values()} == {"upstream_unavailable"}
    assert upstream.requests == []
    assert service.states.state("upstream") == "unknown"


def test_a_single_question_has_the_upstreams_own_deadline(service):
    with ThreadPoolExecutor(1) as threads:
        assert fetch(service, ["S00"], FetchPool(0.0, threads)).refused == {}


def test_an_upstream_that_is_down_is_not_asked_for_the_rest(service, upstream, pool):
    upstream.always = Fault(status=503)
    windows = fetch(service, SYMBOLS * 20, pool)
    assert {type(error) for error in windows.refused.values()} == {UpstreamUnavailable}
    assert len(upstream.requests) <= 8


def test_each_refusal_stands_beside_its_symbol(service, upstream, pool):
    upstream.serve(bars_of("YOUNG", rows=7))
    windows = fetch(service, ["S01", "NONE", "YOUNG"], pool)
    assert list(windows.complete) == ["S01"]
    assert isinstance(windows.refused["NONE"], UnknownSymbol)
    young = windows.refused["YOUNG"]
    assert isinstance(young, InsufficientBars)
    assert (young.needed, young.got) == (20, 7)
    # To name the first possible moment takes a question for the whole history.
    assert young.first_possible is None


def test_a_batch_leaves_no_question_open_and_keeps_its_connections(service, upstream, pool):
    for _ in range(3):
        fetch(service, SYMBOLS, pool)
        asked = len(upstream.requests)
        time.sleep(0.02)
        assert len(upstream.requests) == asked
    assert upstream.connections <= 8
    assert len(queries(upstream.requests, "symbol")) == 3 * 24


def test_no_thread_starts_for_a_single_question(service):
    pool = FetchPool()
    before = set(threading.enumerate())  # those of earlier pools, too
    fetch(service, ["S00"], pool)
    begun = set(threading.enumerate()) - before
    assert not [each for each in begun if each.name.startswith("bars")]
    assert len(begun) <= 1  # the upstream's own


def test_log_lines_of_a_batch_know_their_request(service, upstream, pool):
    request = ContextVar("request", default="none")
    seen = []

    class Keep(logging.Handler):
        def emit(self, record):
            seen.append((record.getMessage(), request.get()))

    log = logging.getLogger("mlengine.services.bars.upstream.fetcher")
    keep, level = Keep(), log.level
    request.set("req-7")
    log.addHandler(keep)
    log.setLevel(logging.DEBUG)
    try:
        fetch(service, SYMBOLS[:3], pool)
    finally:
        log.removeHandler(keep)
        log.setLevel(level)
    assert seen == [("bars judged", "req-7")] * 3


def test_a_fault_of_the_program_is_raised_and_ends_the_batch(service, pool):
    def broken() -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fetch_windows(WindowFetcher(service, 20, None, NOW, broken), SYMBOLS, pool)
