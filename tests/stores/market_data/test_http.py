from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import polars as pl
import pytest
from tests.factories import START, random_bars
from tests.patience import patience
from tests.upstream import Fault, LoopbackUpstream, queries

from mlengine.core.bars.bars import RAW_SCHEMA, VALUES
from mlengine.errors import UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.market_data.credentials import Credentials
from mlengine.stores.market_data.http import HttpMarketData

DAY = timedelta(days=1)
END = START + 100 * DAY


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream(random_bars(rows=30)) as running:
        yield running


def client(upstream: LoopbackUpstream, **chosen: float) -> HttpMarketData:
    usual = {
        "timeout_seconds": 2.0,
        "retry_attempts": 2,
        "retry_backoff_seconds": 0.01,
        "deadline_seconds": 5.0,
    }
    return HttpMarketData(upstream.url, **{**usual, **chosen})


def ask(upstream: LoopbackUpstream, symbol: str = "AAA", **chosen: float) -> pl.DataFrame:
    return client(upstream, **chosen).candles(symbol, "1d", start=START, end=END)


def refused(upstream: LoopbackUpstream, **chosen: float) -> UpstreamUnavailable:
    with pytest.raises(UpstreamUnavailable) as caught:
        ask(upstream, **chosen)
    return caught.value


def test_candles_arrive_as_they_were_served(upstream):
    frame = ask(upstream)
    assert client(upstream).kind == "http"
    assert frame.schema == pl.Schema(RAW_SCHEMA)
    assert frame.select("symbol", "timestamp", *VALUES).equals(random_bars(rows=30))


def test_the_question_is_always_whole_and_in_utc(upstream):
    start = (START + timedelta(seconds=1.5)).astimezone(None)
    frame = client(upstream, page_size=7).candles("AAA", "1d", start=start, end=START + 1.5 * DAY)
    assert upstream.requests[0].query == {
        "symbol": "AAA",
        "interval": "1d",
        "start": "2020-01-01T00:00:01Z",
        "end": "2020-01-02T12:00:00Z",
        "limit": "7",
    }
    assert frame["timestamp"].to_list() == [START + DAY]


def test_the_end_is_asked_in_whole_seconds_and_kept_to_the_microsecond(upstream):
    end = START + 2 * DAY + timedelta(microseconds=1)
    frame = client(upstream).candles("AAA", "1d", start=START, end=end)
    assert upstream.requests[0].query["end"] == "2020-01-03T00:00:01Z"
    assert frame.height == 3
    assert client(upstream).candles("AAA", "1d", start=START, end=START + 2 * DAY).height == 2


def test_pages_are_asked_on_from_the_last_timestamp_until_nothing_is_new(upstream):
    upstream.page_limit = 10
    frame = ask(upstream)
    assert frame["timestamp"].to_list() == [START + i * DAY for i in range(30)]
    days = ["2020-01-01", "2020-01-10", "2020-01-19", "2020-01-28", "2020-01-30"]
    assert queries(upstream.requests, "start") == [f"{day}T00:00:00Z" for day in days]


def test_no_page_is_asked_beyond_the_end(upstream):
    client(upstream).candles("AAA", "1d", start=START, end=START + 30 * DAY)
    assert len(upstream.requests) == 1


def test_a_service_that_ignores_the_range_is_filtered_and_left(upstream):
    upstream.whole = True
    start, end = START + 5 * DAY, START + 50 * DAY
    frame = client(upstream).candles("AAA", "1d", start=start, end=end)
    assert frame["timestamp"].to_list() == [START + i * DAY for i in range(5, 30)]
    assert len(upstream.requests) == 2


def test_a_bar_that_changes_between_two_pages_is_handed_on_twice(upstream):
    upstream.page_limit = 15
    upstream.shape = lambda candle: {**candle, "volume": float(len(upstream.requests))}
    frame = ask(upstream)
    twice = frame.filter(pl.col("timestamp") == START + 14 * DAY)
    assert twice["volume"].to_list() == [1.0, 2.0]


def test_nothing_in_the_range_is_no_candles(upstream):
    frame = client(upstream).candles("AAA", "1d", start=END, end=END + DAY)
    assert frame.schema == pl.Schema(RAW_SCHEMA)
    assert frame.is_empty()


def test_an_unknown_symbol_is_asked_for_once(upstream):
    with pytest.raises(UnknownSymbol, match=r"'NO/\.\./PE'"):
        ask(upstream, "NO/../PE")
    assert queries(upstream.requests, "symbol") == ["NO/../PE"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_fault_is_tried_again(upstream, status):
    upstream.fail(Fault(status=status), Fault(status=status))
    assert ask(upstream).height == 30


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(status=429), Fault(reset=True)])
def test_a_lasting_fault_ends_after_the_retries(upstream, fault):
    upstream.always = fault
    error = refused(upstream)
    assert len(upstream.requests) == 3
    assert error.retry_after_seconds == 5
    assert error.reason in (f"it answered with status {fault.status}", "the connection failed")


def test_without_retries_one_fault_is_enough(upstream):
    upstream.fail(Fault(status=500))
    refused(upstream, retry_attempts=0)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("status", [206, 301, 302, 400, 401, 403, 418])
def test_other_statuses_are_not_tried_again(upstream, status):
    upstream.always = Fault(status=status, headers={"Location": f"{upstream.url}/elsewhere"})
    with pytest.raises(UpstreamInvalid, match=f"status {status}"):
        ask(upstream)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"Exceeded the daily hits limit",
        b"<html></html>",
        b"",
        b'[{"close": NaN}]',
        b'[{"close": Infinity}]',
        b'{"candles": [{"time"',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_no_json_is_refused(upstream, body):
    upstream.always = Fault(body=body)
    reason = "has a readable timestamp" if b"close" in body else "the answer is not JSON"
    with pytest.raises(UpstreamInvalid, match=f"AAA, page 1: .*{reason}"):
        ask(upstream)


def test_an_answer_for_another_symbol_is_refused(upstream):
    upstream.envelope = lambda answer: {**answer, "symbol": "BBB"}
    with pytest.raises(UpstreamInvalid, match="another symbol"):
        ask(upstream)


def test_a_compressed_answer_is_not_unpacked(upstream):
    packed = gzip.compress(b"0" * 1_000_000)
    upstream.always = Fault(body=packed, headers={"Content-Encoding": "gzip"})
    with pytest.raises(UpstreamInvalid, match="compressed"):
        ask(upstream)
    assert upstream.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_body_beyond_the_cap_is_left_unread(upstream):
    upstream.always = Fault(body=b"[" + b" " * 300_000 + b"]")
    with pytest.raises(UpstreamInvalid, match="longer than 100000 bytes"):
        ask(upstream, body_limit_bytes=100_000)


def test_a_body_cut_short_is_tried_again(upstream):
    upstream.fail(Fault(cut_bytes=40))
    assert ask(upstream).height == 30


@pytest.mark.parametrize(
    "fault", [Fault(delay_seconds=4), Fault(drip_seconds=0.02), Fault(status=503)]
)
def test_no_fault_outlasts_the_deadline(upstream, fault):
    upstream.always = fault
    began = time.monotonic()
    refused(upstream, deadline_seconds=0.4, retry_attempts=20, retry_backoff_seconds=0.1)
    assert time.monotonic() - began < patience(2.0)


def test_a_slow_answer_is_given_up_and_asked_for_again(upstream):
    upstream.fail(Fault(delay_seconds=2))
    assert ask(upstream, timeout_seconds=0.5).height == 30
    upstream.always = Fault(delay_seconds=2)
    assert refused(upstream, timeout_seconds=0.2, retry_attempts=0).reason == (
        "it did not answer in time"
    )


def test_one_deadline_holds_for_all_pages(upstream):
    upstream.page_limit = 2
    upstream.always = Fault(delay_seconds=0.1)
    assert refused(upstream, deadline_seconds=0.35, retry_attempts=0).retry_after_seconds == 5
    assert len(upstream.requests) <= 4


def test_a_deadline_that_is_over_asks_nothing(upstream):
    assert refused(upstream, deadline_seconds=0.0).reason == "no answer before the deadline"
    assert upstream.requests == []


def test_retry_after_in_seconds_is_waited_for(upstream):
    upstream.fail(Fault(status=429, headers={"Retry-After": "1"}))
    assert ask(upstream).height == 30
    first, second = upstream.requests[:2]
    assert second.at - first.at >= 1.0


@pytest.mark.parametrize(("said", "told"), [("60", 60), ("1000000000", 3600), ("9" * 400, 3600)])
def test_a_wait_beyond_the_deadline_is_passed_on(upstream, said, told):
    upstream.always = Fault(status=429, headers={"Retry-After": said})
    assert refused(upstream).retry_after_seconds == told
    assert len(upstream.requests) == 1


def test_retry_after_as_a_date_is_counted_from_the_upstreams_own_clock(upstream):
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    upstream.always = Fault(status=503, headers={"Retry-After": later})
    assert 590 <= refused(upstream).retry_after_seconds <= 601
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("said", ["-5", "soon", "1e3", "²", "0", "Mon, 01 Jan 1990 00:00:00 -0000"])
def test_a_wait_that_is_past_or_garbage_is_no_wait(upstream, said):
    upstream.fail(Fault(status=503, headers={"Retry-After": said.encode().decode("latin-1")}))
    began = time.monotonic()
    assert ask(upstream).height == 30
    assert time.monotonic() - began < patience(3.0)


def test_nobody_listening_is_unavailable_and_names_no_address():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}/base"
        market = HttpMarketData(
            url,
            timeout_seconds=1,
            retry_attempts=1,
            retry_backoff_seconds=0,
            deadline_seconds=2,
        )
        with pytest.raises(UpstreamUnavailable) as caught:
            market.candles("AAA", "1d", start=START, end=END)
    assert str(caught.value) == "the market-data upstream can't be reached: the connection failed"


def test_an_address_that_is_none_is_unavailable():
    market = HttpMarketData(
        "http://[half",
        timeout_seconds=1,
        retry_attempts=0,
        retry_backoff_seconds=0,
        deadline_seconds=1,
    )
    with pytest.raises(UpstreamUnavailable):
        market.candles("AAA", "1d", start=START, end=END)


def test_credentials_of_the_address_are_sent(upstream):
    url = upstream.url.replace("http://", "http://user:secret@")
    market = HttpMarketData(
        url,
        timeout_seconds=1,
        retry_attempts=0,
        retry_backoff_seconds=0,
        deadline_seconds=1,
    )
    assert market.candles("AAA", "1d", start=START, end=END).height == 30
    assert upstream.requests[0].headers["Authorization"].startswith("Basic ")


def test_a_connection_is_used_again(upstream):
    market = client(upstream)
    for _ in range(3):
        market.candles("AAA", "1d", start=START, end=START + 30 * DAY)
    assert upstream.connections == 1


def test_a_candle_without_a_readable_timestamp_is_handed_on_once(upstream):
    upstream.whole = True
    upstream.add("AAA", START, {"time": "n/a", "close": 3.0})
    unread = ask(upstream).filter(pl.col("timestamp").is_null())
    assert len(upstream.requests) == 2
    assert unread["close"].to_list() == [3.0]


def test_headers_that_come_byte_by_byte_do_not_outlast_the_deadline():
    with dripping(b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 100) as url:
        market = HttpMarketData(
            url,
            timeout_seconds=0.5,
            retry_attempts=0,
            retry_backoff_seconds=0,
            deadline_seconds=0.6,
        )
        began = time.monotonic()
        with pytest.raises(UpstreamUnavailable, match="did not answer in time"):
            market.candles("AAA", "1d", start=START, end=END)
        assert time.monotonic() - began < patience(1.5)


@contextmanager
def dripping(answer: bytes) -> Iterator[str]:
    """An address on which one client gets `answer`, a byte each 20 ms."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_drip, args=(server, answer))
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def _drip(server: socket.socket, answer: bytes) -> None:
    client, _ = server.accept()
    with client, suppress(OSError):
        for byte in answer:
            client.sendall(bytes([byte]))
            time.sleep(0.02)


def test_nan_and_infinity_cost_their_candle_alone(upstream):
    body = b'[{"time":"2020-01-01","close":NaN,"open":1},{"time":"2020-01-02","close":-Infinity}]'
    upstream.always = Fault(body=body)
    assert ask(upstream)["close"].is_finite().to_list() == [False, False]
    assert ask(upstream)["open"].to_list() == [1.0, None]


@pytest.mark.parametrize("digits", [20, 400, 5000])
def test_an_integer_of_any_length_is_a_number(upstream, digits):
    body = b'[{"time":"2020-01-01","close":2,"volume":' + b"9" * digits + b"}]"
    upstream.always = Fault(body=body)
    assert ask(upstream)["volume"].to_list() == [float("9" * digits)]


@pytest.mark.parametrize("status", [200, 403])
def test_a_refused_answer_is_logged_without_secrets(upstream, caplog, status):
    said = b'{"message": "key s3cret-key is over its limit"}' + b"." * 500
    upstream.always = Fault(status=status, body=said)
    market = HttpMarketData(
        upstream.url,
        timeout_seconds=1,
        retry_attempts=0,
        retry_backoff_seconds=0,
        deadline_seconds=1,
        credentials=Credentials({"X-API-Key": "s3cret-key"}),
    )
    with pytest.raises(UpstreamInvalid, match="AAA, page 1: "):
        market.candles("AAA", "1d", start=START, end=END)
    (record,) = caplog.records
    assert record.getMessage() == "upstream answer refused"
    assert (record.symbol, record.interval, record.page) == ("AAA", "1d", 1)
    assert record.answer.startswith('{"message": "key … is over its limit"}')
    assert len(record.answer) == 200


def test_an_answer_that_is_refused_for_what_others_said_is_logged_once(upstream, caplog):
    """Each page is good; that all are the same shows only when there are several."""
    upstream.whole = True
    with pytest.raises(UpstreamInvalid, match="the same 30 candles") as caught:
        client(upstream).candles("AAA", "1d", start=START - 900 * DAY, end=END)
    (record,) = caplog.records
    assert (record.getMessage(), record.reason) == ("upstream answer refused", caught.value.reason)
    assert (record.symbol, record.interval) == ("AAA", "1d")
    assert record.answer.startswith('{"symbol":"AAA"')


def test_a_question_that_is_refused_names_the_settings(upstream):
    upstream.always = Fault(status=400)
    with pytest.raises(UpstreamInvalid, match=r"of 1d, set MARKET_DATA_INTERVAL.*PAGE_SIZE"):
        ask(upstream)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_names_the_setting(upstream, status):
    upstream.always = Fault(status=status)
    with pytest.raises(UpstreamInvalid, match="does it want another MARKET_DATA_API_KEY"):
        ask(upstream)


def test_where_a_symbol_begins_is_asked_for_once(upstream):
    market = client(upstream)
    for _ in range(3):
        assert market.candles("AAA", "1d", start=START - 9 * DAY, end=START + 30 * DAY).height == 30
    assert len(upstream.requests) == 4
    market.candles("AAA", "1d", start=START - 10 * DAY, end=START + 30 * DAY)
    assert len(upstream.requests) == 6


def test_no_content_is_a_range_without_candles(upstream):
    upstream.page_limit = 10
    upstream.fail(Fault(), Fault(status=204, body=b""))
    assert ask(upstream).height == 10
    upstream.fail(Fault(status=204, body=b""))
    assert ask(upstream).is_empty()


def test_a_symbol_that_is_gone_between_two_pages_has_no_more(upstream):
    upstream.page_limit = 10
    upstream.fail(Fault(), Fault(status=404))
    assert ask(upstream).height == 10
