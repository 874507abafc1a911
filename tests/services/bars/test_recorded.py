"""Bars through the store: what was known when, revisions, outages, and who asks the upstream."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.databases import bar_store
from tests.factories import random_bars
from tests.patience import patience
from tests.upstream import Fault, LoopbackUpstream, queries

from mlengine.core.bars.bars import BarArrays
from mlengine.errors import (
    InsufficientBars,
    MlengineError,
    UnknownSymbol,
    UpstreamInvalid,
    UpstreamUnavailable,
)
from mlengine.services.bars.service import BarService
from mlengine.services.bars.windows import FetchPool, WindowFetcher, fetch_windows
from mlengine.stores.bars.store import BarStore
from mlengine.stores.database.events import EventStore
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.market_data.files import FilesMarketData
from mlengine.stores.market_data.http import HttpMarketData
from mlengine.stores.system.dependency_states import DependencyStates

DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
TODAY = datetime(2024, 6, 1, tzinfo=UTC)
LONGER = random_bars(rows=520, start=TODAY - 499 * DAY)
BARS = LONGER.head(500)
WINDOW = 20


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream(BARS) as running:
        yield running


def service(
    upstream: LoopbackUpstream,
    folder: Path,
    *,
    cache_seconds: float = 5.0,
    deadline_seconds: float = 5.0,
    max_stale_seconds: float = 7200.0,
) -> BarService:
    """As a process that has just started on the database of `folder`."""
    market = HttpMarketData(
        upstream.url,
        timeout_seconds=2,
        retry_attempts=0,
        retry_backoff_seconds=0,
        deadline_seconds=deadline_seconds,
    )
    states = DependencyStates()
    store = bar_store(folder)
    return BarService(
        market, store, "1d", cache_seconds, states, max_stale_seconds=max_stale_seconds
    )


def wait_for_request(upstream: LoopbackUpstream) -> None:
    ends_at = time.monotonic() + patience(20)
    while not upstream.requests:
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def live(service: BarService, now: datetime, *, bars: int = WINDOW) -> BarArrays:
    return service.window("AAA", bars=bars, as_of=None, now=now).bars


def test_only_the_missing_tail_is_asked_for(upstream, tmp_path):
    one = service(upstream, tmp_path)
    live(one, NOW)
    later = NOW + DAY
    upstream.serve(LONGER.head(502))
    window = live(one, later)
    assert window.last_timestamp == TODAY
    restarted = service(upstream, tmp_path)
    assert live(restarted, later).bars_hash == window.bars_hash
    live(restarted, later + 60 * SECOND)
    starts = queries(upstream.requests, "start")
    assert starts == [
        "2024-04-22T12:00:00Z",
        "2024-05-11T00:00:00Z",
        "2024-05-12T00:00:00Z",
    ], "what one process has asked for serves another"


def test_more_bars_than_are_recorded_are_asked_for_once(upstream, tmp_path):
    one = service(upstream, tmp_path)
    live(one, NOW)
    assert live(one, NOW, bars=200).bars_hash == BarArrays.of(BARS[299:499]).bars_hash
    live(one, NOW, bars=300)
    assert len(upstream.requests) == 2
    assert one.history("AAA", bars=0, as_of=None, now=NOW).arrays.rows == 499
    assert one.history("AAA", bars=0, as_of=None, now=NOW + HOUR).arrays.rows == 499
    assert queries(upstream.requests, "start")[2:] == [
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",  # is there anything before the first bar?
        "2024-05-26T00:00:00Z",
    ]


def test_a_revision_in_the_tail_has_the_held_history_asked_again(upstream, tmp_path, caplog):
    one = service(upstream, tmp_path)
    before = live(one, NOW)
    upstream.serve(BARS.with_columns(pl.col("open", "high", "low", "close") * 0.9))
    with caplog.at_level(logging.WARNING, "mlengine.stores.bars.store"):
        after = live(one, NOW + HOUR)
    assert (after.values[3] == before.values[3] * 0.9).all()
    [record] = caplog.records
    assert (record.message, record.symbol) == ("stored bars revised", "AAA")
    assert record.revised == 39, "all that was held"
    [event] = EventStore(one.store.engine).page("bars_revised", 9, None).rows
    assert (event.at, event.details["symbols"]) == (NOW + HOUR, {"AAA": 39})
    assert one.store.revised_bars("1d") == {"AAA": 39}
    then = one.window("AAA", bars=WINDOW, as_of=NOW, now=NOW + HOUR)
    assert then.bars.bars_hash == before.bars_hash
    assert then.origin.point_in_time == "recorded"
    assert one.window("AAA", bars=WINDOW, as_of=NOW + HOUR, now=NOW + 2 * HOUR).bars.bars_hash == (
        after.bars_hash
    )


def test_history_from_before_the_first_recording_is_called_reconstructed(upstream, tmp_path):
    one = service(upstream, tmp_path)
    live(one, NOW)
    for as_of, kind in ((NOW, "recorded"), (NOW - SECOND, "reconstructed")):
        assert one.window("AAA", bars=5, as_of=as_of, now=NOW).origin.point_in_time == kind
    older = one.window("AAA", bars=5, as_of=NOW - 100 * DAY, now=NOW)
    assert older.origin.point_in_time == "reconstructed"
    upstream.close()
    restarted = service(upstream, tmp_path)
    again = restarted.window("AAA", bars=5, as_of=NOW - 100 * DAY, now=NOW)
    assert again.bars.bars_hash == older.bars.bars_hash, "it has been recorded"


@dataclass
class _Days:
    """An upstream whose days come late, are corrected, and are adjusted by a dividend."""

    upstream: LoopbackUpstream
    answers: dict[datetime, tuple[str, bytes]] = field(default_factory=dict)

    def serve(self, day: int) -> None:
        bars = random_bars(rows=420, start=TODAY).head(100 + day)
        arrives = pl.int_range(pl.len()) + pl.when(pl.int_range(pl.len()) % 11 == 7).then(
            pl.int_range(pl.len()) % 5
        ).otherwise(0)
        bars = bars.filter(arrives < 100 + day)
        corrected = pl.int_range(pl.len()) % 13 == 5
        volume = pl.when(corrected & (pl.int_range(pl.len()) < 97 + day)).then(1.0).otherwise(0.0)
        bars = bars.with_columns(pl.col("volume") + volume)
        if day >= 45:
            bars = bars.with_columns(pl.col("open", "high", "low", "close") * 0.97)
        self.upstream.serve(bars)


@pytest.mark.parametrize("restarts", [False, True])
def test_days_bar_by_bar_are_answered_in_the_end_as_it_was_live(upstream, tmp_path, restarts):
    one, days, answers = service(upstream, tmp_path), _Days(upstream), {}
    for day in range(0, 90, 3 if restarts else 1):
        days.serve(day)
        now = TODAY + (100 + day) * DAY + HOUR
        if restarts and day % 9 == 0:
            one = service(upstream, tmp_path)
        for moment in (now, now + 20 * HOUR):
            answers[moment] = live(one, moment).payload
    end = max(answers)
    for asked in (one, service(upstream, tmp_path)):
        served = {
            moment: asked.window("AAA", bars=WINDOW, as_of=moment, now=end) for moment in answers
        }
        assert {moment: each.bars.payload for moment, each in served.items()} == answers
        assert {each.origin.point_in_time for each in served.values()} == {"recorded"}
    assert EventStore(one.store.engine).page("bars_revised", 999, None).rows


def test_files_are_recorded_and_asked_as_of_like_a_service(tmp_path):
    (tmp_path / "files").mkdir()
    symbols = ("A", "B", "C")
    bars = {symbol: random_bars(symbol, rows=520, start=TODAY - 499 * DAY) for symbol in symbols}
    market = FilesMarketData(tmp_path / "files")

    def start() -> BarService:
        return BarService(market, bar_store(tmp_path), "1d", 5.0, DependencyStates())

    one, answers = start(), {}
    for day in range(20):
        factor = 0.9 if day > 10 else 1.0
        for symbol in symbols:
            known = bars[symbol].head(499 + day - (day % 4 == 2 and symbol == "B"))
            known = known.with_columns(pl.col("close", "high", "low", "open") * factor)
            known.write_parquet(tmp_path / "files" / f"{symbol}.parquet")
        now = NOW + day * DAY
        served = one.windows_in_one_pass(symbols, bars=WINDOW, as_of=None, now=now)
        answers[now] = {symbol: served[symbol].bars.payload for symbol in symbols}
    for asked in (one, start()):
        for moment, expected in answers.items():
            served = asked.windows_in_one_pass(symbols, bars=WINDOW, as_of=moment, now=now)
            assert {symbol: served[symbol].bars.payload for symbol in symbols} == expected


def test_while_the_upstream_is_down_the_last_good_bars_serve_with_their_age(upstream, tmp_path):
    one = service(upstream, tmp_path)
    good = live(one, NOW)
    upstream.always, asked = Fault(status=503), len(upstream.requests)
    restarted = service(upstream, tmp_path)
    for each in (one, restarted):
        for minute in range(1, 61):
            now = NOW + minute * 60 * SECOND
            window = each.window("AAA", bars=WINDOW, as_of=None, now=now)
            assert window.bars.bars_hash == good.bars_hash
            assert window.origin.upstream_age_seconds == minute * 60
    assert len(upstream.requests) - asked <= 2 * 60
    with pytest.raises(UpstreamUnavailable):
        live(one, NOW + 7201 * SECOND)
    upstream.always, asked = None, len(upstream.requests)
    back = NOW + 7210 * SECOND
    assert one.window("AAA", bars=WINDOW, as_of=None, now=back).origin.upstream_age_seconds is None
    assert (
        restarted.window("AAA", bars=WINDOW, as_of=None, now=back).origin.upstream_age_seconds
        is None
    )
    assert len(upstream.requests) - asked == 1, "for both processes"


def test_an_outage_is_found_out_once_in_a_while_for_all_symbols(upstream, tmp_path):
    symbols = [f"S{n}" for n in range(20)]
    upstream.serve(
        pl.concat([random_bars(symbol, rows=500, start=TODAY - 499 * DAY) for symbol in symbols])
    )
    one, pool = service(upstream, tmp_path), FetchPool()

    def batch(now: datetime) -> set[bool]:
        fetched = fetch_windows(WindowFetcher(one, WINDOW, None, now, lambda: 0.0), symbols, pool)
        assert fetched is not None
        assert fetched.refused == {}
        return {symbol in fetched.origins for symbol in symbols}

    assert batch(NOW) == {False}
    upstream.always, asked = Fault(reset=True), len(upstream.requests)
    for minute in range(1, 61):
        assert batch(NOW + minute * 60 * SECOND) == {True}
    assert len(upstream.requests) - asked <= 60 * 9, "those at once, not all of them"
    upstream.always, asked = None, len(upstream.requests)
    back = NOW + 3700 * SECOND
    one.window("S0", bars=WINDOW, as_of=None, now=back)
    assert batch(back) == {False}
    assert len(upstream.requests) - asked == 20, "one a symbol"


def test_without_bars_that_are_good_enough_an_outage_is_an_error(upstream, tmp_path):
    one = service(upstream, tmp_path, max_stale_seconds=0)
    live(one, NOW)
    upstream.always = Fault(status=503)
    with pytest.raises(UpstreamUnavailable):
        live(one, NOW + HOUR)
    other = service(upstream, tmp_path)
    with pytest.raises(UpstreamUnavailable):
        live(other, NOW + HOUR, bars=200)


@pytest.mark.parametrize("body", [b'{"rows": []}', b"<html>", b'[{"timestamp": "soon"}]'])
def test_while_the_answers_have_another_shape_the_last_good_bars_serve(
    upstream, tmp_path, caplog, body
):
    one = service(upstream, tmp_path)
    good = live(one, NOW)
    upstream.always = Fault(status=200, body=body)
    for each in (one, service(upstream, tmp_path)):
        with caplog.at_level(logging.WARNING, "mlengine.services.bars.upstream"):
            window = each.window("AAA", bars=WINDOW, as_of=None, now=NOW + HOUR)
        assert window.bars.bars_hash == good.bars_hash
        assert window.origin.upstream_age_seconds == 3600
        past = each.window("AAA", bars=WINDOW, as_of=NOW + HOUR - SECOND, now=NOW + HOUR)
        assert past.origin.upstream_age_seconds == 3600
    assert "recorded bars serve on" in {record.message for record in caplog.records}
    assert one.states.state("upstream") == "degraded"
    asked = len(upstream.requests)
    live(one, NOW + HOUR + 4 * SECOND)
    assert len(upstream.requests) == asked, "it is asked again after five seconds"
    with pytest.raises(UpstreamInvalid):
        live(one, NOW + 7201 * SECOND)
    with pytest.raises(UpstreamInvalid):
        replace(one, anew=True).history("AAA", bars=0, as_of=None, now=NOW + HOUR)
    upstream.always = None
    back = one.window("AAA", bars=WINDOW, as_of=None, now=NOW + 7210 * SECOND)
    assert back.origin.upstream_age_seconds is None


def test_a_symbol_that_is_no_longer_known_is_refused(upstream, tmp_path):
    one = service(upstream, tmp_path)
    live(one, NOW)
    upstream.forget("AAA")
    with pytest.raises(UnknownSymbol):
        live(one, NOW + HOUR)


def test_a_hundred_threads_make_one_call(upstream, tmp_path):
    one = service(upstream, tmp_path)
    upstream.always = Fault(delay_seconds=0.3)
    with ThreadPoolExecutor(100) as pool:
        windows = pool.map(lambda n: live(one, NOW + n * SECOND / 1000), range(100))
        assert len({window.bars_hash for window in windows}) == 1
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("fault", "error"), [(Fault(status=503), UpstreamUnavailable), (None, UnknownSymbol)]
)
def test_all_who_wait_for_a_call_share_its_failure(upstream, tmp_path, fault, error):
    one = service(upstream, tmp_path)
    upstream.always = Fault(delay_seconds=0.3, status=fault.status if fault else 404)

    def attempt(n: int) -> type[MlengineError]:
        with pytest.raises(MlengineError) as caught:
            live(one, NOW + n * SECOND / 1000)
        return caught.type

    with ThreadPoolExecutor(30) as pool:
        assert set(pool.map(attempt, range(30))) == {error}
    assert len(upstream.requests) == 1


def test_nobody_waits_for_another_beyond_the_own_time(upstream, tmp_path):
    one = service(upstream, tmp_path)
    upstream.always = Fault(delay_seconds=1.5)
    first = threading.Thread(target=live, args=(one, NOW))
    first.start()
    wait_for_request(upstream)
    soon = Deadline.after(0.1)
    with pytest.raises(UpstreamUnavailable):
        one.window("AAA", bars=WINDOW, as_of=None, now=NOW, deadline=soon)
    assert soon.left_seconds > -0.5
    first.join()


def test_an_impatient_question_fails_alone(upstream, tmp_path):
    one = service(upstream, tmp_path)
    upstream.always = Fault(delay_seconds=1.5)

    def impatient() -> None:
        with pytest.raises(UpstreamUnavailable):
            one.window("AAA", bars=WINDOW, as_of=None, now=NOW, deadline=Deadline.after(1.0))

    first = threading.Thread(target=impatient)
    first.start()
    wait_for_request(upstream)
    assert live(one, NOW).rows == WINDOW
    first.join()


def test_a_process_takes_what_another_has_recorded(upstream, tmp_path):
    one, two = service(upstream, tmp_path), service(upstream, tmp_path)
    assert live(one, NOW).bars_hash == live(two, NOW).bars_hash
    assert len(upstream.requests) == 1
    late = BARS.filter(pl.col("timestamp") != TODAY - 2 * DAY)
    upstream.serve(late)
    later = NOW + 61 * SECOND
    live(one, later)
    assert (
        live(two, later).bars_hash
        == live(one, later).bars_hash
        == (BarArrays.of(late.head(498).tail(WINDOW)).bars_hash)
    )
    assert len(upstream.requests) == 3, "the tail, and all of it since that differs"


def test_what_a_process_records_itself_is_no_news_to_it(upstream, tmp_path, monkeypatch):
    one, two = service(upstream, tmp_path), service(upstream, tmp_path)
    read: list[str] = []
    counts = BarStore.recording_counts

    def counting(store: BarStore, interval: str) -> dict[str, int]:
        read.append("one" if store is one.store else "two")
        return counts(store, interval)

    monkeypatch.setattr(BarStore, "recording_counts", counting)
    live(one, NOW)
    upstream.serve(LONGER.head(503))
    assert live(one, NOW + 2 * DAY).last_timestamp == TODAY + DAY
    live(one, NOW + 2 * DAY)
    assert read == []
    live(two, NOW + 2 * DAY)
    upstream.serve(LONGER)
    live(two, NOW + 20 * DAY)
    live(one, NOW + 20 * DAY)
    assert read == ["one"], "two has recorded nothing that it does not remember"


def test_where_nothing_can_be_recorded_bars_are_served(upstream, tmp_path, caplog):
    one = service(upstream, tmp_path)
    live(one, NOW)
    with one.store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE bar_series RENAME TO other")
    assert live(one, NOW + HOUR).rows == WINDOW
    assert service(upstream, tmp_path).window("AAA", bars=5, as_of=None, now=NOW).bars.rows == 5
    assert {record.message for record in caplog.records} == {"bars not recorded"}
    with one.store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE other RENAME TO bar_series")
    upstream.serve(LONGER.head(503))
    window = live(one, NOW + 2 * DAY)
    assert window.last_timestamp == TODAY + DAY
    assert one.stored("AAA", bars=WINDOW).bars_hash == window.bars_hash


def test_too_few_bars_are_too_few_from_the_store_too(upstream, tmp_path):
    upstream.serve(BARS.tail(11))
    for _ in range(2):
        with pytest.raises(InsufficientBars, match="10"):
            live(service(upstream, tmp_path), NOW)
