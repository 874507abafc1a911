from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from tests.databases import bar_store
from tests.factories import random_bars
from tests.patience import patience
from tests.upstream import Fault, LoopbackUpstream, iso, queries

from mlengine.core.bars.bars import bars_hash
from mlengine.errors import InsufficientBars, UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.services.bars.service import BarService
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.market_data.files import FilesMarketData
from mlengine.stores.market_data.http import HttpMarketData
from mlengine.stores.market_data.sample import SampleMarketData
from mlengine.stores.system.dependency_states import DependencyStates

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
TODAY = datetime(2024, 6, 1, tzinfo=UTC)
BARS = random_bars(rows=500, start=TODAY - 499 * DAY)
FINAL = BARS.head(499)


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream(BARS) as running:
        yield running


def client(upstream: LoopbackUpstream, *, deadline_seconds: float = 5.0) -> HttpMarketData:
    return HttpMarketData(
        upstream.url,
        timeout_seconds=2,
        retry_attempts=0,
        retry_backoff_seconds=0,
        deadline_seconds=deadline_seconds,
    )


@pytest.fixture
def service(upstream, tmp_path) -> BarService:
    return BarService(client(upstream), bar_store(tmp_path), "1d", 5.0, DependencyStates())


def test_the_newest_final_bars_come_oldest_first(service):
    clean = service.history("AAA", bars=64, as_of=None, now=NOW)
    assert clean.frame.equals(FINAL.tail(64))
    assert clean.report.accepted == 64
    assert clean.report.dropped == {"unfinished": 1}
    assert service.states.state("upstream") == "ok"


def test_no_more_is_asked_for_than_is_needed(service, upstream):
    service.history("AAA", bars=64, as_of=None, now=NOW)
    assert queries(upstream.requests, "start") == ["2024-02-14T12:00:00Z"]
    assert queries(upstream.requests, "end") == ["2024-06-01T12:00:00Z"]


def test_all_bars_are_asked_for_from_the_epoch(service, upstream):
    assert service.history("AAA", bars=0, as_of=None, now=NOW).frame.equals(FINAL)
    assert set(queries(upstream.requests, "start")) == {"1970-01-01T00:00:00Z"}
    first = iso(FINAL["timestamp"][0])
    assert queries(upstream.requests, "end") == [iso(NOW), first], "is there anything before it?"


def test_gaps_widen_the_question_until_there_are_enough(service, upstream):
    upstream.serve(pl.concat([BARS.head(450), BARS.tail(3)]))
    clean = service.history("AAA", bars=20, as_of=None, now=NOW)
    assert clean.frame["timestamp"].to_list()[-3:-1] == [TODAY - 49 * DAY - DAY, TODAY - 2 * DAY]
    assert clean.frame.height == 20
    starts = queries(upstream.requests, "start")
    assert list(dict.fromkeys(starts)) == ["2024-04-22T12:00:00Z", "2023-07-10T12:00:00Z"]


def test_fewer_bars_come_when_there_are_no_more(service, upstream):
    assert service.history("AAA", bars=5000, as_of=None, now=NOW).frame.height == 499
    assert service.history("AAA", bars=490, as_of=NOW - 400 * DAY, now=NOW).frame.height == 99


def test_as_of_knows_only_bars_that_had_ended(service):
    as_of = TODAY - 100 * DAY
    at = service.history("AAA", bars=10, as_of=as_of, now=NOW).frame
    assert at["timestamp"][-1] == as_of - DAY
    before = service.history("AAA", bars=10, as_of=as_of - SECOND, now=NOW).frame
    assert before["timestamp"][-1] == as_of - 2 * DAY
    assert at.equals(FINAL.filter(pl.col("timestamp") < as_of).tail(10))


@pytest.mark.parametrize(("served", "interval"), [("1m", "1d"), ("1d", "1h"), ("1d", "1w")])
def test_bars_of_another_interval_are_refused_whatever_they_are_called(
    upstream, tmp_path, served, interval
):
    upstream.serve(random_bars(rows=400, interval=served, start=TODAY - 300 * DAY))
    upstream.envelope = lambda answer: answer["candles"]
    service = BarService(client(upstream), bar_store(tmp_path), interval, 5.0, DependencyStates())
    with pytest.raises(UpstreamInvalid, match=f"AAA has bars of another interval than {interval}"):
        service.history("AAA", bars=0, as_of=None, now=NOW)
    assert service.states.state("upstream") == "degraded"


def test_a_window_says_why_its_bars_are_suspect(service, upstream):
    wrong = BARS.with_columns(
        pl.when(pl.col("timestamp") == TODAY - 20 * DAY)
        .then(pl.col(name) * 100)
        .otherwise(name)
        .alias(name)
        for name in ("open", "high", "low", "close")
    ).filter(~pl.col("timestamp").is_between(TODAY - 40 * DAY, TODAY - 30 * DAY))
    upstream.serve(wrong)
    for as_of, reasons in (
        (None, ("bars_missing", "hole_in_window", "unexplained_jump")),
        (TODAY - 50 * DAY, ()),
    ):
        window = service.window("AAA", bars=60, as_of=as_of, now=NOW).bars
        assert window.suspect_reasons == reasons
    assert service.window("AAA", bars=15, as_of=None, now=NOW).bars.suspect_reasons == ()


def test_a_bar_with_a_stated_close_is_known_from_then_on_live_and_as_of(service, upstream):
    def closing(candle):
        closes = datetime.fromisoformat(candle["timestamp"]) + 7 * HOUR
        return {**candle, "close_time": closes.isoformat()}

    upstream.shape = closing
    live = service.history("AAA", bars=3, as_of=None, now=NOW).frame
    assert live["timestamp"][-1] == TODAY
    for as_of, last in ((NOW, 0), (TODAY + 7 * HOUR, 0), (TODAY + 6 * HOUR, 1)):
        served = service.history("AAA", bars=3, as_of=as_of, now=NOW).frame
        assert served["timestamp"][-1] == TODAY - last * DAY
    assert service.nth_bar_known_at("AAA", bar=500, now=NOW) == TODAY + 7 * HOUR


def test_a_bar_called_final_early_counts_live_but_not_as_of(service, upstream):
    upstream.shape = lambda candle: {**candle, "final": True}
    live = service.history("AAA", bars=3, as_of=None, now=NOW).frame
    strict = service.history("AAA", bars=3, as_of=NOW - SECOND, now=NOW).frame
    assert live["timestamp"][-1] == TODAY
    assert service.history("AAA", bars=3, as_of=NOW, now=NOW).frame.equals(live)
    assert strict["timestamp"][-1] == TODAY - DAY
    assert live.height == strict.height == 3


@pytest.mark.parametrize("year", [1, 1500, 1970])
def test_long_ago_there_were_no_bars_of_a_symbol_that_is_known_now(service, upstream, year):
    long_ago = datetime(year, 1, 1, tzinfo=UTC)
    assert service.history("AAA", bars=10, as_of=long_ago, now=NOW).frame.is_empty()
    assert queries(upstream.requests, "start") == ["2024-05-24T12:00:00Z"]
    with pytest.raises(UnknownSymbol):
        service.history("ZZZ", bars=10, as_of=long_ago, now=NOW)


def test_one_deadline_holds_for_all_questions_of_one_answer(upstream, service, tmp_path):
    upstream.serve(BARS.tail(4))
    upstream.always = Fault(delay_seconds=0.2)
    market = client(upstream, deadline_seconds=0.45)
    service = BarService(market, bar_store(tmp_path), "1d", 0.0, DependencyStates())
    began = time.monotonic()
    with pytest.raises(UpstreamUnavailable):
        service.history("AAA", bars=20, as_of=None, now=NOW)
    assert time.monotonic() - began < patience(0.55)


def test_a_sooner_deadline_of_the_caller_holds(upstream, service):
    upstream.always = Fault(delay_seconds=2)
    began = time.monotonic()
    with pytest.raises(UpstreamUnavailable):
        service.history("AAA", bars=5, as_of=None, now=NOW, deadline=Deadline.after(0.2))
    assert time.monotonic() - began < patience(1.0)


@pytest.mark.parametrize("symbol", ["", "A\nB", "\ud800", "A" * 65, "\0"])
def test_what_can_be_no_symbol_is_unknown_and_not_asked_for(service, upstream, symbol):
    with pytest.raises(UnknownSymbol):
        service.history(symbol, bars=5, as_of=None, now=NOW)
    assert upstream.requests == []


def test_absurdly_many_bars_are_all_bars(service):
    assert service.history("AAA", bars=10**15, as_of=None, now=NOW).frame.equals(FINAL)


def test_live_bars_are_kept_for_a_moment(service, upstream):
    first = service.history("AAA", bars=64, as_of=None, now=NOW)
    again = service.history("AAA", bars=60, as_of=None, now=NOW + 59 * SECOND)
    assert again.frame.equals(first.frame.tail(60))
    assert len(upstream.requests) == 1
    service.history("AAA", bars=60, as_of=None, now=NOW + 60 * SECOND)
    assert len(upstream.requests) == 2


def test_bars_from_before_midnight_do_not_answer_after_it(service, upstream):
    before = TODAY + DAY - SECOND
    service.history("AAA", bars=5, as_of=None, now=before)
    earlier = service.window("AAA", bars=5, as_of=None, now=before).bars
    after = service.window("AAA", bars=5, as_of=None, now=TODAY + DAY).bars
    assert after.last_timestamp == earlier.last_timestamp + DAY
    assert after.bars_hash == bars_hash(BARS.tail(5)) != earlier.bars_hash


@pytest.mark.parametrize(
    "stated", [{"final": True}, {"close_time": "2024-05-01T20:00:00Z"}, {"final": False}]
)
def test_an_upstream_that_says_what_is_final_is_asked_every_few_seconds(service, upstream, stated):
    day = "2024-05-01T00:00:00Z"
    upstream.shape = lambda each: {**each, **stated} if each["timestamp"] == day else each
    service.history("AAA", bars=64, as_of=None, now=NOW)
    service.history("AAA", bars=64, as_of=None, now=NOW + 4 * SECOND)
    assert len(upstream.requests) == 1
    service.history("AAA", bars=64, as_of=None, now=NOW + 5 * SECOND)
    assert len(upstream.requests) == 2


def test_a_window_is_the_same_bars_as_the_history_and_is_hashed_once(service):
    for as_of in (None, NOW, TODAY - 5 * DAY, TODAY - 5 * DAY - SECOND):
        window = service.window("AAA", bars=10, as_of=as_of, now=NOW).bars
        bars = service.history("AAA", bars=10, as_of=as_of, now=NOW).frame
        assert window.frame().equals(bars)
        assert window.bars_hash == bars_hash(bars)
        assert window.last_timestamp == bars["timestamp"][-1]
    cached = service.history("AAA", bars=64, as_of=None, now=NOW)
    assert cached.frame.height == 64
    again = service.window("AAA", bars=10, as_of=TODAY - 5 * DAY, now=NOW).bars
    assert again is service.window("AAA", bars=10, as_of=TODAY - 5 * DAY, now=NOW).bars


@pytest.mark.parametrize("year", [1, 1970, 2022])
def test_too_few_bars_make_no_window(service, year):
    service.history("AAA", bars=0, as_of=None, now=NOW)
    with pytest.raises(InsufficientBars):
        service.window("AAA", bars=64, as_of=datetime(year, 1, 1, tzinfo=UTC), now=NOW)


def test_the_past_is_answered_from_kept_bars_when_they_reach_far_enough(service, upstream):
    service.history("AAA", bars=64, as_of=None, now=NOW)
    as_of = TODAY - 9 * DAY
    cached = service.history("AAA", bars=64, as_of=as_of, now=NOW)
    assert len(upstream.requests) == 1
    assert cached.frame.equals(FINAL.filter(pl.col("timestamp") < as_of).tail(64))
    service.history("AAA", bars=64, as_of=TODAY - 90 * DAY, now=NOW)
    assert len(upstream.requests) == 2
    service.history("AAA", bars=0, as_of=as_of, now=NOW)
    assert len(set(queries(upstream.requests, "start"))) == 3


def test_a_moment_after_the_kept_answer_is_asked_anew(service, upstream):
    service.history("AAA", bars=64, as_of=None, now=NOW)
    service.history("AAA", bars=64, as_of=NOW + SECOND, now=NOW + 2 * SECOND)
    assert len(upstream.requests) == 2


def test_a_whole_history_answers_every_question(service, upstream):
    service.history("AAA", bars=0, as_of=None, now=NOW)
    service.history("AAA", bars=5000, as_of=None, now=NOW)
    service.history("AAA", bars=0, as_of=TODAY - 300 * DAY, now=NOW)
    assert len(upstream.requests) == 2, "one of them for what may lie before the first"


def test_without_cache_time_every_question_is_asked(upstream, service, tmp_path):
    fresh = BarService(service.source, bar_store(tmp_path), "1d", 0.0, DependencyStates())
    fresh.history("AAA", bars=5, as_of=None, now=NOW)
    fresh.history("AAA", bars=5, as_of=None, now=NOW)
    assert len(upstream.requests) == 2


def test_what_was_rejected_is_told_once_with_its_reasons(service, upstream, caplog):
    upstream.add("AAA", TODAY - DAY, {"time": "2024-05-31", "close": "n/a"})
    upstream.add("AAA", TODAY - DAY, {"time": "2025-01-01", "close": "n/a"})
    with caplog.at_level(logging.DEBUG, "mlengine.services.bars.upstream.fetcher"):
        clean = service.history("AAA", bars=5, as_of=None, now=NOW)
        service.history("AAA", bars=5, as_of=None, now=NOW)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == "bars judged"
    assert record.dropped == clean.report.dropped == {"unfinished": 1, "not_finite": 1}
    assert (record.symbol, record.interval, record.mended) == ("AAA", "1d", {})


def test_a_clean_answer_is_no_warning(service, caplog):
    with caplog.at_level(logging.DEBUG, "mlengine.services.bars.upstream.fetcher"):
        service.history("AAA", bars=5, as_of=None, now=NOW)
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]


def test_a_file_with_the_newest_bar_first_is_no_warning(tmp_path, caplog):
    FINAL.drop("symbol").reverse().write_csv(tmp_path / "AAA.csv")
    source = FilesMarketData(tmp_path)
    service = BarService(source, bar_store(tmp_path), "1d", 5.0, DependencyStates())
    with caplog.at_level(logging.DEBUG, "mlengine.services.bars.upstream.fetcher"):
        clean = service.history("AAA", bars=5, as_of=None, now=NOW)
    assert list(clean.report.mended) == ["reordered"]
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]


def test_an_answer_of_bad_candles_only_is_invalid(service, upstream):
    upstream.shape = lambda candle: {**candle, "close": -1}
    with pytest.raises(UpstreamInvalid, match="not one of the candles of 'AAA' can be used"):
        service.history("AAA", bars=5, as_of=None, now=NOW)
    assert service.states.state("upstream") == "degraded"


def test_bars_that_contradict_each_other_or_have_no_time_are_left_out_and_told(
    service, upstream, caplog
):
    day = FINAL.row(-2, named=True)
    upstream.add("AAA", TODAY - 2 * DAY, {**day, "high": 1e9, "timestamp": "2024-05-30"})
    upstream.add("AAA", TODAY - 2 * DAY, {**day, "timestamp": "n/a"})
    with caplog.at_level(logging.WARNING, "mlengine.services.bars.upstream.fetcher"):
        clean = service.history("AAA", bars=5, as_of=None, now=NOW)
    assert clean.frame.equals(pl.concat([FINAL[-6:-2], FINAL[-1:]]))
    [record] = caplog.records
    assert record.dropped == {"unfinished": 1, "conflicting": 2, "no_timestamp": 1}
    assert service.states.state("upstream") == "ok"


def test_checks_remember_how_the_upstream_did(service, upstream):
    assert service.states.state("upstream") == "unknown"
    upstream.fail(Fault(status=503))
    with pytest.raises(UpstreamUnavailable):
        service.history("AAA", bars=5, as_of=None, now=NOW)
    assert service.states.state("upstream") == "down"
    with pytest.raises(UnknownSymbol):
        service.history("ZZZ", bars=5, as_of=None, now=NOW)
    assert service.states.state("upstream") == "ok"


def test_a_fetch_stores_the_whole_history(service):
    assert service.stored("AAA").rows == 0
    clean = service.ingest("AAA", now=NOW)
    assert clean.report.accepted == 499
    assert service.stored("AAA").frame().equals(clean.frame)
    assert service.ingest("AAA", now=NOW + DAY).report.accepted == 500
    assert service.stored("AAA").frame().equals(BARS)
    assert [*service.store.recording_counts("1d")] == ["AAA"]


def test_a_stale_sample_still_serves_its_newest_bars(tmp_path):
    service = BarService(SampleMarketData(), bar_store(tmp_path), "1d", 5.0, DependencyStates())
    clean = service.history("AAPL", bars=64, as_of=None, now=NOW)
    assert clean.frame["timestamp"][-1] == datetime(2013, 3, 1, tzinfo=UTC)
    assert clean.report.accepted == 64
    as_of = datetime(2008, 3, 1, tzinfo=UTC)
    then = service.history("AAPL", bars=64, as_of=as_of, now=NOW).frame
    assert then["timestamp"][-1] == datetime(2008, 2, 29, tzinfo=UTC)


def test_the_final_moment_of_a_bar_is_when_the_next_one_may_start(service, upstream):
    first = BARS["timestamp"][0]
    assert service.nth_bar_known_at("AAA", bar=1, now=NOW) == first + DAY
    assert service.nth_bar_known_at("AAA", bar=499, now=NOW) == TODAY
    assert service.nth_bar_known_at("AAA", bar=500, now=NOW) is None
    assert service.nth_bar_known_at("NONE", bar=1, now=NOW) is None
