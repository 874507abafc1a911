"""Services as people really have them: whatever shape and size the answers are."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from tests.cases.world import Row, World, steps, walk, weekdays

from mlengine.errors import TrainingFailed

Bars = list[tuple[datetime, Row]]
Query = dict[str, str]
DAY = timedelta(days=1)


def daily(count: int = 600, *, seed: int = 1) -> Bars:
    stamps = [datetime(d.year, d.month, d.day, tzinfo=UTC) for d in weekdays(count)]
    return list(zip(stamps, walk(count, seed=seed), strict=True))


def candle(at: datetime, row: Row) -> dict[str, Any]:
    values = dict(zip(("open", "high", "low", "close", "volume"), row, strict=True))
    return {"timestamp": at.isoformat().replace("+00:00", "Z"), **values}


def milliseconds(at: datetime) -> int:
    return int(at.timestamp()) * 1000


def within(bars: Bars, query: Query) -> Bars:
    start, end = (datetime.fromisoformat(query[name]) for name in ("start", "end"))
    return [bar for bar in bars if start <= bar[0] < end]


def serve(bars: Bars) -> Callable[[Query], object]:
    return lambda query: [candle(*bar) for bar in within(bars, query)][: int(query["limit"])]


class Service:
    """A service on loopback; `answer` makes a body (bytes, or what JSON can hold) or a status."""

    def __init__(self) -> None:
        self.answer: Callable[[Query], object] = lambda _: 404
        self.asked: list[tuple[str, Query, dict[str, str]]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query, headers = dict(parse_qsl(parts.query)), dict(self.headers)
                service.asked.append((parts.path, query, headers))
                answer = service.answer(
                    {**query, **{f"_{k.lower()}": v for k, v in headers.items()}}
                )
                status = answer if isinstance(answer, int) else 200
                content = {} if isinstance(answer, int) else answer
                body = content if isinstance(content, bytes) else orjson.dumps(content)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def service(world: World) -> Iterator[Service]:
    service = Service()
    world.configure(MARKET_DATA_BASE_URL=service.url, TRAIN_SYMBOLS="AAA")
    yield service
    service.close()


BARS = daily()
LAST = BARS[-1][0].isoformat().replace("+00:00", "Z")


def columns(bars: Bars) -> dict[str, Any]:
    values = zip(*(row for _, row in bars), strict=True)
    times = [int(at.timestamp()) for at, _ in bars]
    return {"s": "ok", "t": times, **dict(zip("ohlcv", values, strict=True))}


def short(bars: Bars, time: Callable[[datetime], object], name: str = "t") -> list[dict[str, Any]]:
    return [{name: time(at), **dict(zip("ohlcv", row, strict=True))} for at, row in bars]


ALPHAVANTAGE = {
    "Meta Data": {"2. Symbol": "AAA"},
    "Time Series (Daily)": {
        f"{at:%Y-%m-%d}": {
            f"{number}. {name}": str(value)
            for number, (name, value) in enumerate(
                zip(("open", "high", "low", "close", "volume"), row, strict=True), start=1
            )
        }
        for at, row in reversed(BARS)
    },
}
KLINES = [
    [milliseconds(at), *(repr(x) for x in row), milliseconds(at) + 86399999, "1", 5, "0", "0", "0"]
    for at, row in BARS
]
SHAPES: dict[str, object] = {
    "binance": KLINES,
    "alpaca": {"symbol": "AAA", "bars": short(BARS, datetime.isoformat), "next_page_token": None},
    "alpaca keyed": {"bars": {"AAA": short(BARS, datetime.isoformat)}},
    "polygon": {"ticker": "AAA", "status": "OK", "results": short(BARS, milliseconds)},
    "alphavantage": ALPHAVANTAGE,
    "finnhub": columns(BARS),
    "short names": {"candles": short(BARS, milliseconds)},
    "short prices": {"candles": short(BARS, milliseconds, "timestamp")},
    "open_time": [
        {**candle(at, row), "timestamp": None, "open_time": milliseconds(at)} for at, row in BARS
    ],
    "interval 1D": {"symbol": "AAA", "interval": "1D", "candles": [candle(*bar) for bar in BARS]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_50_the_shapes_of_known_services_are_read_or_refused_with_a_reason(
    world: World, service: Service, shape: str
) -> None:
    service.answer = lambda _: SHAPES[shape]
    status, body = world.get("/predict", symbol="AAA")
    if status == 200:
        assert body["bar_timestamp"] == LAST
    else:
        assert (status, body["code"]) == (502, "upstream_invalid"), body
        assert len(body["detail"]) > 60


@pytest.mark.parametrize(
    "answer",
    [
        {"Note": "Our standard API call frequency is 5 calls per minute."},
        {"error": "rate limit of the day", "code": 429},
        b"Exceeded the daily hits limit",
        {"symbol": "AAA", "interval": "1d", "candles": None},
    ],
)
def test_51_what_a_service_says_instead_of_bars_is_logged(
    world: World, service: Service, answer: object, caplog: pytest.LogCaptureFixture
) -> None:
    service.answer = lambda _: answer
    assert world.platform
    with caplog.at_level(logging.WARNING, "mlengine"):
        assert world.refusal("AAA")["code"] == "upstream_invalid"
    text = answer.decode() if isinstance(answer, bytes) else orjson.dumps(answer).decode()
    assert any(text[:25] in str(vars(record)) for record in caplog.records), caplog.records


@pytest.mark.parametrize("status", [401, 403, 307])
def test_53_a_service_that_lets_nobody_in_is_named(
    world: World, service: Service, status: int
) -> None:
    service.answer = lambda _: status
    assert str(status) in world.refusal("AAA")["detail"]


ENOUGH = daily(2500)
PAGES: dict[str, Callable[[Query], object]] = {
    "oldest first": serve(ENOUGH),
    "newest first, ascending": lambda q: [
        candle(*bar) for bar in within(ENOUGH, q)[-int(q["limit"]) :]
    ],
    "newest first, descending": lambda q: [
        candle(*bar) for bar in within(ENOUGH, q)[-int(q["limit"]) :][::-1]
    ],
    "500 a page": lambda q: [candle(*bar) for bar in within(ENOUGH, q)][:500],
}


@pytest.mark.parametrize("order", PAGES)
def test_54_pages_are_followed_to_the_last(world: World, service: Service, order: str) -> None:
    service.answer = PAGES[order]
    frame = world.platform.bars.history("AAA", bars=0, as_of=None, now=datetime.now(UTC)).frame
    assert frame.height == 2500
    answer = world.predict("AAA", as_of="2019-06-03")
    assert answer["bar_timestamp"] == "2019-06-03T00:00:00Z"


def test_54_the_newest_720_are_not_taken_for_the_whole(world: World, service: Service) -> None:
    service.answer = lambda q: [
        candle(*b) for b in ENOUGH if b[0] < datetime.fromisoformat(q["end"])
    ][-720:]
    status, body = world.get("/predict", symbol="AAA", as_of="2019-06-03")
    if status == 200:
        assert body["bar_timestamp"] == "2019-06-03T00:00:00Z"
    else:
        assert body["code"] in {"upstream_invalid", "insufficient_bars"}, body


def test_54_a_limit_of_requests_in_place_of_a_page_ends_no_history(
    world: World, service: Service
) -> None:
    """Of 2,500 days the newest hundred come, and then what the service says with status 200."""

    def limited(query: Query) -> object:
        if len(service.asked) > 1:
            return {"code": 429, "message": "too many requests", "candles": []}
        return [candle(*bar) for bar in within(ENOUGH, query)][-100:]

    service.answer = limited
    with pytest.raises(TrainingFailed, match="states an error in its 'code'"):
        world.train("AAA")


def test_54_ranges_of_a_page_reach_back_to_the_first_bar(world: World, service: Service) -> None:
    """Such as Coinbase, which refuses more than 300 candles and takes no limit."""
    world.interval = "1h"
    world.configure(MARKET_DATA_PAGE_SIZE="300")
    bars = list(zip(steps(1000, timedelta(hours=1)), walk(1000), strict=True))

    def refusing(query: Query) -> object:
        start, end = (datetime.fromisoformat(query[name]) for name in ("start", "end"))
        if end - start > timedelta(hours=300):
            return 400
        return [candle(*bar) for bar in within(bars, query)][::-1]

    service.answer = refusing
    quality = world.get("/bars/quality", symbol="AAA")[1]
    assert (quality["status"], quality["accepted"]) == ("ok", 1000)


def test_55_a_candle_of_another_symbol_is_not_mixed_in(
    world: World, service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "upstream.toml"
    names = "\n".join(f'{name} = "{name}"' for name in candle(*BARS[0]))
    path.write_text(f'candles = "data"\n[fields]\n{names}\n')
    world.configure(MARKET_DATA_UPSTREAM_FILE=path)
    rows = [{**candle(*bar), "symbol": "AAA"} for bar in BARS]
    rows[-3] |= {"symbol": "AAB"}
    service.answer = lambda _: {"data": rows}
    assert "several symbols" in world.refusal("AAA")["detail"]


WRONG = {
    "minutes for days": (
        "1d",
        list(zip(steps(5000, timedelta(minutes=1)), walk(5000, volatility=0.0005), strict=True)),
    ),
    "days for hours": ("1h", BARS),
    "days for weeks": ("1w", BARS),
    "weeks for days": ("1d", [bar for bar in daily(2000) if bar[0].weekday() == 0]),
}


@pytest.mark.parametrize("kind", WRONG)
def test_55_bars_of_another_interval_are_refused(world: World, service: Service, kind: str) -> None:
    world.interval, bars = WRONG[kind]
    service.answer = lambda q: [candle(*bar) for bar in within(bars, q)]
    body = world.refusal("AAA")
    assert body["code"] in {"upstream_invalid", "insufficient_bars"}
    assert "interval" in body["detail"] or "AAA" in body["detail"]
    assert body["code"] == "upstream_invalid", body


def test_56_nan_in_json_costs_its_candle_alone(world: World, service: Service) -> None:
    def nan_volume(query: Query) -> bytes:
        body = orjson.dumps([candle(*bar) for bar in within(BARS, query)]).decode()
        middle = str(BARS[300][1][4])
        return body.replace(f'"volume":{middle}', '"volume":NaN', 1).encode()

    service.answer = nan_volume
    now = datetime.now(UTC)
    clean = world.platform.bars.history("AAA", bars=0, as_of=None, now=now)
    assert (clean.arrays.rows, dict(clean.report.dropped)) == (599, {"not_finite": 1})


def test_56_nan_where_nobody_looks_costs_nothing(world: World, service: Service) -> None:
    def nan_vwap(query: Query) -> bytes:
        body = orjson.dumps([{**candle(*bar), "vwap": 0.5} for bar in within(BARS, query)])
        return body.replace(b'"vwap":0.5', b'"vwap":NaN')

    service.answer = nan_vwap
    now = datetime.now(UTC)
    assert world.platform.bars.history("AAA", bars=0, as_of=None, now=now).arrays.rows == 600


def test_56_a_volume_beyond_64_bits(world: World, service: Service) -> None:
    def big(query: Query) -> bytes:
        body = orjson.dumps([candle(*bar) for bar in within(BARS, query)]).decode()
        first = str(BARS[0][1][4])
        return body.replace(f'"volume":{first}', '"volume":12345678901234567890123', 1).encode()

    service.answer = big
    now = datetime.now(UTC)
    assert world.platform.bars.history("AAA", bars=0, as_of=None, now=now).arrays.rows == 600


@pytest.mark.parametrize("where", ["header", "bearer", "parameter", "file"])
def test_57_a_key_is_sent_and_never_shown(
    world: World, service: Service, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    def guarded(query: Query) -> object:
        keys = {query.get("_x-api-key"), query.get("apikey"), query.get("_authorization")}
        return serve(BARS)(query) if {"s3cret", "Bearer s3cret"} & keys else 401

    service.answer = guarded
    if where == "header":
        world.configure(MARKET_DATA_API_KEY="s3cret", MARKET_DATA_API_KEY_HEADER="X-API-Key")
    elif where == "bearer":
        world.configure(MARKET_DATA_API_KEY="s3cret")
    elif where == "parameter":
        world.configure(MARKET_DATA_API_KEY="s3cret", MARKET_DATA_API_KEY_PARAM="apikey")
    else:
        path = world.folder / "headers"
        path.write_text("X-API-Key: s3cret\n")
        world.configure(MARKET_DATA_HEADERS_FILE=path)
    with caplog.at_level(logging.DEBUG):
        assert world.predict("AAA")["bar_timestamp"] == LAST
        service.answer = lambda _: 401
        world.refusal("AAA")
    assert "s3cret" not in str([vars(record) for record in caplog.records])
    assert "s3cret" not in world.client.get("/health").get_data(as_text=True)


def test_57_an_address_with_a_query_is_refused(world: World) -> None:
    world.configure(MARKET_DATA_BASE_URL="http://127.0.0.1:9/?apikey=s3cret")
    with pytest.raises(Exception, match="MARKET_DATA_BASE_URL") as caught:
        assert world.platform
    assert "s3cret" not in str(caught.value)


def test_58_a_page_size_that_the_service_admits(world: World, service: Service) -> None:
    service.answer = lambda q: 400 if int(q["limit"]) > 500 else serve(ENOUGH)(q)
    world.configure(MARKET_DATA_PAGE_SIZE="500")
    now = datetime.now(UTC)
    assert world.platform.bars.history("AAA", bars=0, as_of=None, now=now).arrays.rows == 2500


UNITS: dict[str, Callable[[datetime], int]] = {
    "seconds": lambda t: int(t.timestamp()),
    "milliseconds": milliseconds,
    "microseconds": lambda t: int(t.timestamp()) * 10**6,
    "nanoseconds": lambda t: int(t.timestamp()) * 10**9,
    "dates": lambda t: int(f"{t:%Y%m%d}"),
}


@pytest.mark.parametrize("unit", UNITS)
def test_59_times_as_numbers_are_never_of_1970(world: World, service: Service, unit: str) -> None:
    service.answer = lambda _: [{**candle(*bar), "timestamp": UNITS[unit](bar[0])} for bar in BARS]
    status, body = world.get("/predict", symbol="AAA")
    if status == 200:
        assert body["bar_timestamp"] == LAST
    else:
        assert body["code"] == "upstream_invalid"


def test_59_two_units_in_one_answer(world: World, service: Service) -> None:
    def mixed(query: Query) -> object:
        bars = within(BARS, query)
        units = [10**6 if n > len(bars) // 2 else 10**3 for n in range(len(bars))]
        return [
            {**candle(at, row), "timestamp": int(at.timestamp()) * unit}
            for (at, row), unit in zip(bars, units, strict=True)
        ]

    service.answer = mixed
    status, body = world.get("/predict", symbol="AAA")
    if status == 200:
        assert len(world.features("AAA", limit=5000)) == 600 - 63
    else:
        assert body["code"] == "upstream_invalid"


def test_one_call_answers_many_who_ask_at_once(world: World, service: Service) -> None:
    gate = threading.Event()

    def slow(query: Query) -> object:
        gate.wait(10)
        return serve(BARS)(query)

    service.answer = slow
    assert world.platform
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(world.get("/predict", symbol="AAA")[0]))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}
