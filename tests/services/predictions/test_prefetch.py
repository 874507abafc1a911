"""A new bar of one symbol brings the others up to date before they are asked for."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.factories import START, random_bars
from tests.patience import patience
from tests.platforms import make_platform
from tests.published import publish
from tests.upstream import Fault, LoopbackUpstream, queries

from mlengine.bootstrap.platform import Platform
from mlengine.core.predictions.prediction import Prediction
from mlengine.errors import UnknownSymbol, UpstreamUnavailable
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.market_data.tables import folder_file
from mlengine.stores.market_data.tables.text_file import FileContent, TextReader

DAY = timedelta(days=1)
SYMBOLS = [f"S{number:02d}" for number in range(12)]
ROWS = 130
FULL = pl.concat(random_bars(symbol, rows=ROWS) for symbol in SYMBOLS)
FIRST, *OTHERS = SYMBOLS
# How many days of bars there are at first, and shortly after the last of them has ended.
DAYS = 100
NOW = START + DAYS * DAY + timedelta(minutes=1)


def known(days: int) -> pl.DataFrame:
    """What the upstream has after so many days: their bars, and the one that runs."""
    return FULL.filter(pl.col("timestamp") <= START + days * DAY)


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream(known(DAYS)) as running:
        yield running


def engine_on(
    upstream: LoopbackUpstream, folder: Path, *, models: int = 1, cache_seconds: int = 5
) -> Platform:
    return make_platform(
        folder,
        models=models,
        MARKET_DATA_BASE_URL=upstream.url,
        MARKET_DATA_CACHE_SECONDS=str(cache_seconds),
        MARKET_DATA_RETRY_ATTEMPTS="0",
    )


@pytest.fixture
def platform(upstream: LoopbackUpstream, tmp_path: Path) -> Platform:
    return engine_on(upstream, tmp_path)


def ask(
    platform: Platform,
    symbol: str,
    now: datetime,
    *,
    as_of: datetime | None = None,
    version: str | None = None,
) -> Prediction:
    return platform.predict.predict(
        symbol,
        PredictionRequest(as_of=as_of, version=version, request_id="req", now=now),
    )


def batch(
    platform: Platform, now: datetime, symbols: Sequence[str] = SYMBOLS
) -> tuple[Prediction, ...]:
    made = platform.predict.predict_batch(
        symbols,
        PredictionRequest(request_id="req", now=now, route="/predict/batch"),
    )
    return made.results


def warm(platform: Platform) -> None:
    """Everything at hand."""
    batch(platform, NOW)
    settle(platform)


def settle(platform: Platform) -> None:
    assert platform.predict.prefetch.wait_until_idle(within_seconds=30)


def asked(upstream: LoopbackUpstream) -> Counter[str]:
    """How often each symbol was asked for since the last call."""
    counts = Counter(queries(upstream.requests, "symbol"))
    upstream.requests.clear()
    return counts


def row_of(platform: Platform, made: Prediction) -> bytes | None:
    row = platform.predict.vector_cache.get((made.bars_hash, made.feature_set.hash))
    return None if row is None else row.tobytes()


def test_after_a_new_bar_the_others_are_answered_from_what_is_at_hand(
    platform: Platform, upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    warm(platform)
    upstream.serve(known(DAYS + 1))
    asked(upstream)
    now = NOW + DAY
    ask(platform, FIRST, now)
    settle(platform)
    assert asked(upstream) == Counter(SYMBOLS)
    rows = len(platform.predict.vector_cache)
    filled = {symbol: ask(platform, symbol, now + timedelta(seconds=9)) for symbol in OTHERS}
    assert upstream.requests == []
    assert len(platform.predict.vector_cache) == rows, "a row was computed"
    fresh = engine_on(upstream, tmp_path / "fresh")
    for symbol, made in filled.items():
        alone = ask(fresh, symbol, now)
        assert made.bar_timestamp == START + DAYS * DAY
        assert (made.bars_hash, made.probability_up) == (alone.bars_hash, alone.probability_up)
        assert row_of(platform, made) == row_of(fresh, alone) is not None


def test_a_batch_that_finds_a_new_bar_brings_the_rest_along(
    platform: Platform, upstream: LoopbackUpstream
) -> None:
    warm(platform)
    upstream.serve(known(DAYS + 1))
    asked(upstream)
    batch(platform, NOW + DAY, SYMBOLS[:3])
    settle(platform)
    assert asked(upstream) == Counter(SYMBOLS)


def test_files_fill_all_rows_from_one_look(tmp_path: Path) -> None:
    platform = make_platform(tmp_path, MARKET_DATA_CACHE_SECONDS="5")
    panel = tmp_path / "bars" / "panel.parquet"
    known(DAYS).write_parquet(panel)
    warm(platform)
    known(DAYS + 1).write_parquet(panel)
    ask(platform, FIRST, NOW + DAY)
    settle(platform)
    panel.unlink()
    rows = len(platform.predict.vector_cache)
    for symbol in OTHERS:
        assert ask(platform, symbol, NOW + DAY).bar_timestamp == START + DAYS * DAY
    assert len(platform.predict.vector_cache) == rows


def test_files_are_read_behind_an_answer_from_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a line that is appended later is all that this process has left to read."""
    another, panel = make_platform(tmp_path), tmp_path / "bars" / "panel.csv"
    known(DAYS).write_csv(panel)
    batch(another, NOW)
    read: list[str] = []

    class CountingReader(TextReader):
        def read(self) -> FileContent:
            read.append("all")
            return super().read()

        def read_appended(self, before: FileContent) -> FileContent | None:
            read.append("appended")
            return super().read_appended(before)

    monkeypatch.setattr(folder_file, "TextReader", CountingReader)
    platform = make_platform(tmp_path, MARKET_DATA_CACHE_SECONDS="5")
    ask(platform, FIRST, NOW)
    settle(platform)
    assert read == ["all"]
    with panel.open("a") as file:
        file.write(known(DAYS + 1).tail(1).write_csv(include_header=False))
    assert ask(platform, FIRST, NOW + DAY).bar_timestamp == START + DAYS * DAY
    settle(platform)
    assert read == ["all", "appended"]


def test_nothing_is_filled_where_no_bar_is_new(
    platform: Platform, upstream: LoopbackUpstream
) -> None:
    warm(platform)
    asked(upstream)
    ask(platform, FIRST, NOW + timedelta(minutes=2))
    upstream.serve(known(DAYS - 1))
    ask(platform, FIRST, NOW + DAY)
    settle(platform)
    assert set(asked(upstream)) == {FIRST}


def test_a_moment_of_the_past_starts_no_filling(
    platform: Platform, upstream: LoopbackUpstream
) -> None:
    warm(platform)
    upstream.serve(known(DAYS + 1))
    asked(upstream)
    ask(platform, FIRST, NOW + DAY, as_of=NOW + DAY)
    settle(platform)
    assert asked(upstream) == {FIRST: 1}


def test_where_nothing_is_kept_nothing_is_filled(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    platform = engine_on(upstream, tmp_path, cache_seconds=0)
    warm(platform)
    upstream.serve(known(DAYS + 1))
    asked(upstream)
    ask(platform, FIRST, NOW + DAY)
    settle(platform)
    assert asked(upstream) == {FIRST: 1}


def test_a_symbol_that_fails_is_left_to_its_own_next_question(
    platform: Platform, upstream: LoopbackUpstream
) -> None:
    warm(platform)
    upstream.serve(known(DAYS + 1))
    upstream.forget("S05")
    ask(platform, FIRST, NOW + DAY)
    settle(platform)
    assert asked(upstream)["S05"] == 3, "one of them for what may lie before its first bar"
    for symbol in OTHERS:
        if symbol != "S05":
            ask(platform, symbol, NOW + DAY)
    assert upstream.requests == []
    with pytest.raises(UnknownSymbol):
        ask(platform, "S05", NOW + DAY)


def test_an_upstream_that_is_down_stops_the_filling(
    platform: Platform, upstream: LoopbackUpstream
) -> None:
    warm(platform)
    upstream.serve(known(DAYS + 1))
    asked(upstream)
    upstream.fail(Fault())
    upstream.always = Fault(status=503)
    ask(platform, FIRST, NOW + DAY)
    settle(platform)
    counts = asked(upstream)
    assert counts[FIRST] == 1
    assert 1 <= counts.total() - 1 <= 4, "one a thread"
    with pytest.raises(UpstreamUnavailable):
        ask(platform, SYMBOLS[-1], NOW + DAY)
    upstream.always = None
    when_tried_again = NOW + DAY + timedelta(seconds=5)
    assert ask(platform, SYMBOLS[-1], when_tried_again).bar_timestamp == START + DAYS * DAY
    settle(platform)
    assert len(asked(upstream)) == len(OTHERS), "what it brings starts the next filling"


def test_a_filling_that_hangs_holds_up_nobody(
    platform: Platform, upstream: LoopbackUpstream
) -> None:
    warm(platform)
    upstream.serve(known(DAYS + 1))
    upstream.fail(Fault())
    upstream.always = Fault(delay_seconds=2)
    ask(platform, FIRST, NOW + DAY)
    assert ask(platform, FIRST, NOW + DAY).bar_timestamp == START + DAYS * DAY
    assert not platform.predict.prefetch.wait_until_idle(within_seconds=0)
    upstream.always = None
    settle(platform)


def test_two_questions_at_once_start_one_filling(
    platform: Platform, upstream: LoopbackUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    warm(platform)
    upstream.serve(known(DAYS + 1))
    asked(upstream)
    upstream.always = Fault(delay_seconds=0.05)
    both = threading.Barrier(2)

    def question(symbol: str) -> None:
        both.wait()
        ask(platform, symbol, NOW + DAY)

    threads = [threading.Thread(target=question, args=(symbol,)) for symbol in SYMBOLS[:2]]
    with caplog.at_level(logging.INFO, "mlengine.services.predictions.prefetch"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        settle(platform)
    counts = asked(upstream)
    assert [counts[symbol] for symbol in SYMBOLS[2:]] == [1] * len(SYMBOLS[2:])
    (told,) = caplog.records
    assert told.getMessage() == "feature rows filled"


def test_who_is_asked_for_no_more_is_not_fetched_for_ever(
    platform: Platform, upstream: LoopbackUpstream
) -> None:
    warm(platform)
    fetched = []
    for day in range(1, 7):
        upstream.serve(known(DAYS + day))
        asked(upstream)
        ask(platform, FIRST, NOW + day * DAY)
        settle(platform)
        fetched.append(len(asked(upstream)))
    assert fetched == [12, 12, 12, 1, 1, 1]
    ask(platform, "S07", NOW + 6 * DAY)
    upstream.serve(known(DAYS + 7))
    asked(upstream)
    ask(platform, FIRST, NOW + 7 * DAY)
    settle(platform)
    assert asked(upstream) == {FIRST: 1, "S07": 1}


def test_where_no_model_serves_nothing_is_filled(
    upstream: LoopbackUpstream, tmp_path: Path
) -> None:
    platform = engine_on(upstream, tmp_path, models=0)
    publish(platform.models.registry.directory)
    for now in (NOW, NOW + DAY):
        upstream.serve(known((now - START).days))
        asked(upstream)
        for symbol in SYMBOLS if now == NOW else [FIRST]:
            ask(platform, symbol, now, version="v1")
    settle(platform)
    assert asked(upstream) == {FIRST: 1}


def test_where_no_thread_can_be_started_the_question_is_answered_and_the_next_bar_fills(
    platform: Platform, upstream: LoopbackUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def none_left(thread: threading.Thread) -> None:
        if thread.name == "prefetch":
            raise RuntimeError("can't start new thread")
        start(thread)

    warm(platform)
    upstream.serve(known(DAYS + 1))
    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", none_left)
        assert ask(platform, FIRST, NOW + DAY).bar_timestamp == START + DAYS * DAY
    asked(upstream)
    upstream.serve(known(DAYS + 2))
    ask(platform, FIRST, NOW + 2 * DAY)
    settle(platform)
    assert asked(upstream).keys() == set(SYMBOLS)


@pytest.mark.parametrize("source", ["http", pytest.param("files", marks=pytest.mark.soak)])
def test_a_process_ends_in_the_midst_of_a_filling(
    upstream: LoopbackUpstream, tmp_path: Path, source: str
) -> None:
    upstream.serve(known(DAYS + 1))
    upstream.fail(*[Fault()] * (2 * len(SYMBOLS) + 5))
    upstream.always = Fault(delay_seconds=60)
    began = time.monotonic()
    done = subprocess.run(
        [
            sys.executable,
            # Python 3.13 warns of connections that its end leaves open; so this process does.
            *("-W", "error", "-W", "ignore:unclosed database:ResourceWarning"),
            *("-m", "tests.processes.end_during_prefetch"),
            str(tmp_path),
            upstream.url,
            source,
        ],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "prefetching\n", "")
    assert time.monotonic() - began < patience(30)
