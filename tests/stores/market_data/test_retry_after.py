from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import pytest
from tests.factories import START, random_bars
from tests.upstream import Fault, LoopbackUpstream

from mlengine.errors import UpstreamUnavailable
from mlengine.stores.market_data.http import HttpMarketData
from mlengine.stores.market_data.retry_after import wait_seconds
from mlengine.stores.market_data.service_pause import ServicePause

NOW = datetime(2026, 11, 29, 2, tzinfo=UTC)
LATER = format_datetime(NOW + timedelta(minutes=10), usegmt=True)


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    with LoopbackUpstream(random_bars(rows=30)) as running:
        yield running


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (["120"], 120.0),
        (["  15 "], 15.0),
        (["+7"], 7.0),
        (["1.5"], 1.5),
        ([".5"], 0.5),
        (["120s"], 120.0),
        (["120, 60"], 120.0),
        (["60", "120"], 120.0),
        (["0"], 0.0),
        (["1000000000"], 1e9),
        (["9" * 400], 3_155_760_000.0),
        ([LATER], 600.0),
        (["Sunday, 29-Nov-26 02:10:00 GMT"], 600.0),
        (["Sun Nov 29 02:10:00 2026"], 600.0),
        (["2026-11-29T02:10:00Z"], 600.0),
        (["Sun, 29 Nov 2026 03:10:00 +0100"], 600.0),
        ([f"30, {LATER}"], 600.0),
        ([LATER, "30"], 600.0),
        (["Mon, 01 Jan 1990 00:00:00 -0000"], 0.0),
        (["soon"], None),
        (["99 Foo 9999 99:99:99 GMT"], None),
        (["-5"], None),
        ([""], None),
        ([], None),
    ],
)
def test_every_form_is_read_and_the_longest_holds(values, seconds):
    assert wait_seconds(values, {}, NOW) == seconds


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        (format_datetime(NOW - timedelta(minutes=5), usegmt=True), 900.0),
        (format_datetime(NOW + timedelta(days=5), usegmt=True), 600.0),
        ("no date", 600.0),
    ],
)
def test_a_date_is_counted_from_the_clock_that_makes_it_later(date, seconds):
    assert wait_seconds([LATER], {"Date": date}, NOW) == seconds


@pytest.mark.parametrize("value", ["0", "Mon, 01 Jan 1990 00:00:00 GMT", "soon"])
def test_what_names_no_later_moment_still_backs_off(upstream, value):
    upstream.always = Fault(status=429, headers={"Retry-After": value})
    with pytest.raises(UpstreamUnavailable):
        ask(market(upstream, retry_attempts=3, retry_backoff_seconds=0.1))
    at = [request.at for request in upstream.requests]
    waits = [later - earlier for earlier, later in pairwise(at)]
    assert len(waits) == 3
    assert all(wait >= 0.05 * 2**n for n, wait in enumerate(waits))


def test_a_service_that_wants_to_be_left_alone_is_not_asked_for_other_symbols_either(
    upstream, tmp_path
):
    file = tmp_path / "pause.json"
    upstream.always = Fault(status=429, headers={"Retry-After": "1000000000"})
    one, another = market(upstream, file), market(upstream, file)
    for number in range(20):
        with pytest.raises(UpstreamUnavailable) as caught:
            ask(one, f"S{number}")
        assert caught.value.retry_after_seconds == 3600
    for process in (another, market(upstream, file)):
        with pytest.raises(UpstreamUnavailable, match="left alone"):
            ask(process)
    assert len(upstream.requests) == 1


def test_whoever_waits_for_the_end_of_a_pause_asks_after_it(upstream, tmp_path):
    upstream.fail(Fault(status=503, headers={"Retry-After": "0.4"}))
    one = market(upstream, tmp_path / "pause.json")
    threads = [threading.Thread(target=ask, args=[one]) for _ in range(4)]
    threads[0].start()
    while not upstream.requests:
        time.sleep(0.001)
    first = upstream.requests[0].at
    time.sleep(0.1)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(upstream.requests) >= 5
    assert min(request.at for request in upstream.requests[1:]) - first >= 0.4


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"service": 1, "until": 5}', b"\xff", b'{"until": "2099"}', b"[" * 999],
)
def test_a_file_that_says_nothing_of_the_service_is_no_pause(tmp_path, content):
    file = tmp_path / "pause.json"
    file.write_bytes(content)
    assert ServicePause("http://a", file).seconds_left() <= 0
    ServicePause("http://b", file).extend(1e6)
    assert ServicePause("http://a", file).seconds_left() <= 0
    assert ServicePause("http://b", file).seconds_left() == pytest.approx(1e6, abs=5)


def market(upstream: LoopbackUpstream, file=None, **chosen: float) -> HttpMarketData:
    usual = {
        "timeout_seconds": 2.0,
        "retry_attempts": 2,
        "retry_backoff_seconds": 0.01,
        "deadline_seconds": 5.0,
    }
    return HttpMarketData(upstream.url, pause_file=file, **{**usual, **chosen})


def ask(market: HttpMarketData, symbol: str = "AAA") -> None:
    market.candles(symbol, "1d", start=START, end=START + timedelta(days=30))


def test_a_shorter_pause_leaves_a_longer_one_as_it_is() -> None:
    pause = ServicePause(clock=lambda: 100.0)
    pause.extend(50)
    pause.extend(10)
    assert pause.seconds_left() == 50


def test_a_pause_that_can_not_be_shared_still_holds_here(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    pause = ServicePause("http://a", tmp_path / "file" / "pause", clock=lambda: 100.0)
    pause.extend(50)
    assert pause.seconds_left() == 50
