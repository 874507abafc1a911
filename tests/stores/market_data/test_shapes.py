"""Each ready shape against a server that answers as the service of that name is known to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson
import polars as pl
import pytest
from tests.factories import START, random_bars

from mlengine.core.bars.bars import VALUES
from mlengine.errors import BadSetting, UnknownSymbol, UpstreamInvalid
from mlengine.stores.market_data.credentials import Credentials
from mlengine.stores.market_data.http import HttpMarketData
from mlengine.stores.market_data.shapes.reading import (
    is_unknown_symbol,
    next_page,
    read_answer,
)
from mlengine.stores.market_data.shapes.ready import READY_SHAPES
from mlengine.stores.market_data.shapes.rows import named_row
from mlengine.stores.market_data.shapes.shape import ServiceShape
from mlengine.stores.market_data.shapes.upstream_file import read_upstream_file

DAY = timedelta(days=1)
BARS = random_bars(rows=250)
ROWS = BARS.select("timestamp", *VALUES).rows()
END = START + 250 * DAY
LETTERS = "ohlcv"

Query = dict[str, str]
Row = tuple[Any, ...]


class Recorded:
    """A service on loopback; `answer` gets the path, the query and the headers."""

    def __init__(self, answer: Callable[[str, Query, dict[str, str]], Any]) -> None:
        self.asked: list[tuple[str, Query]] = []
        recorded = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query))
                recorded.asked.append((unquote(parts.path), query))
                content = answer(unquote(parts.path), query, dict(self.headers))
                status, content = content if isinstance(content, tuple) else (200, content)
                body = orjson.dumps(content)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def candles(
        self, shape: ServiceShape, symbol: str = "AAA", interval: str = "1d"
    ) -> pl.DataFrame:
        market = HttpMarketData(
            self.url,
            timeout_seconds=2,
            retry_attempts=0,
            retry_backoff_seconds=0,
            deadline_seconds=5,
            page_size=100,
            credentials=Credentials(key="s3cret"),
            shape=shape,
        )
        return market.candles(symbol, interval, start=START - 40 * DAY, end=END - 10 * DAY)


def ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000


def within(first: float, last: float) -> list[Row]:
    """Rows from the first second to the last, as most services count: both included."""
    return [row for row in ROWS if first <= row[0].timestamp() <= last]


def short(rows: list[Row], time: Callable[[datetime], object]) -> list[dict[str, object]]:
    return [
        {"t": time(at), **dict(zip(LETTERS, values, strict=True)), "n": 5} for at, *values in rows
    ]


def binance(path: str, query: Query, headers: dict[str, str]) -> Any:
    if (path, query["symbol"], query["interval"]) != ("/api/v3/klines", "AAA", "1d"):
        return 400, {"code": -1121, "msg": "Invalid symbol."}
    rows = within(int(query["startTime"]) / 1000, int(query["endTime"]) / 1000)
    return [
        [ms(at), *map(repr, values), ms(at) + 86_399_999, "1", 5, "0", "0", "0"]
        for at, *values in rows[: int(query["limit"])]
    ]


def alpaca(path: str, query: Query, headers: dict[str, str]) -> Any:
    assert (path, query["timeframe"]) == ("/v2/stocks/AAA/bars", "1Day")
    first, last = (datetime.fromisoformat(query[name]).timestamp() for name in ("start", "end"))
    rows, done = within(first, last), int(query.get("page_token", "0"))
    end = done + int(query["limit"])
    token = str(end) if end < len(rows) else None
    bars = short(rows[done:end], lambda at: at.isoformat().replace("+00:00", "Z"))
    return {"symbol": "AAA", "bars": bars or None, "next_page_token": token}


def polygon(path: str, query: Query, headers: dict[str, str]) -> Any:
    *_, ticker, range_, count, span, first, last = path.split("/")
    assert (ticker, range_, count, span) == ("AAA", "range", "1", "day")
    rows = within(int(first) / 1000, int(last) / 1000)
    done = int(query.get("cursor", "0"))
    page = rows[done : done + 100]
    answer = {"ticker": "AAA", "status": "OK", "resultsCount": len(page)}
    if page:
        answer["results"] = short(page, ms)
    if done + 100 < len(rows):
        answer["next_url"] = f"https://api.polygon.io{path}?cursor={done + 100}"
    return answer


def alphavantage(path: str, query: Query, headers: dict[str, str]) -> Any:
    if query["apikey"] != "s3cret":
        return {"Error Message": "the parameter apikey is invalid"}
    assert (path, query["function"]) == ("/query", "TIME_SERIES_DAILY")
    names = ("1. open", "2. high", "3. low", "4. close", "5. volume")
    series = {
        f"{at:%Y-%m-%d}": dict(zip(names, map(repr, values), strict=True))
        for at, *values in reversed(ROWS)
    }
    return {"Meta Data": {"2. Symbol": query["symbol"]}, "Time Series (Daily)": series}


def finnhub(path: str, query: Query, headers: dict[str, str]) -> Any:
    assert (path, query["resolution"], query["token"]) == ("/api/v1/stock/candle", "D", "s3cret")
    rows = within(int(query["from"]), int(query["to"]))
    if not rows:
        return {"s": "no_data"}
    at, *columns = zip(*rows, strict=True)
    times = [int(each.timestamp()) for each in at]
    return {"s": "ok", "t": times, **dict(zip(LETTERS, map(list, columns), strict=True))}


def tiingo(path: str, query: Query, headers: dict[str, str]) -> Any:
    assert (path, query["resampleFreq"]) == ("/tiingo/daily/AAA/prices", "daily")
    first, last = (datetime.fromisoformat(query[name]) for name in ("startDate", "endDate"))
    rows = [row for row in ROWS if first <= row[0].replace(tzinfo=None) <= last]
    return [
        {
            "date": f"{at:%Y-%m-%dT00:00:00.000Z}",
            **dict(zip(VALUES, values, strict=True)),
            "adjClose": values[3] / 2,
        }
        for at, *values in rows
    ]


SERVICES = {
    "binance": binance,
    "alpaca": alpaca,
    "polygon": polygon,
    "alphavantage": alphavantage,
    "finnhub": finnhub,
    "tiingo": tiingo,
}


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> Iterator[Recorded]:
    running = Recorded(request.param)
    yield running
    running.close()


@pytest.mark.parametrize(
    ("recorded", "shape"),
    [(SERVICES[name], shape) for name, shape in READY_SHAPES.items()],
    indirect=["recorded"],
    ids=READY_SHAPES,
)
def test_every_candle_of_a_known_service_arrives(recorded: Recorded, shape: ServiceShape) -> None:
    candles = recorded.candles(shape)
    assert candles.select("symbol", "timestamp", *VALUES).equals(BARS.head(240))


@pytest.mark.parametrize("recorded", [binance], indirect=True)
def test_a_service_may_say_in_its_own_words_that_it_knows_no_such_symbol(
    recorded: Recorded,
) -> None:
    with pytest.raises(UnknownSymbol):
        recorded.candles(READY_SHAPES["binance"], "ZZZ")
    assert len(recorded.asked) == 1


@pytest.mark.parametrize("recorded", [polygon], indirect=True)
def test_of_the_address_of_a_next_page_no_host_is_taken(recorded: Recorded) -> None:
    recorded.candles(READY_SHAPES["polygon"])
    assert [query.get("cursor") for _, query in recorded.asked] == [None, "100", "200"]


@pytest.mark.parametrize("recorded", [alphavantage], indirect=True)
def test_an_interval_without_a_name_is_refused(recorded: Recorded) -> None:
    with pytest.raises(UpstreamInvalid, match="no name for the interval 1h, only for 1d"):
        recorded.candles(READY_SHAPES["alphavantage"], interval="1h")
    assert recorded.asked == []


@pytest.mark.parametrize("recorded", [lambda *_: {"Note": "5 calls a minute"}], indirect=True)
@pytest.mark.parametrize("name", READY_SHAPES)
def test_an_answer_of_another_shape_is_refused_by_what_it_is(recorded: Recorded, name: str) -> None:
    with pytest.raises(UpstreamInvalid, match="'Note'") as refused:
        recorded.candles(READY_SHAPES[name])
    assert "MARKET_DATA_UPSTREAM_FILE" in str(refused.value)


def own(path: str, query: Query, headers: dict[str, str]) -> Any:
    assert path == "/v1/k1/AAA/D"
    last = datetime.fromtimestamp(int(query["until"]) / 10**6, UTC)
    rows = within(START.timestamp(), last.timestamp())[-50:][::-1]
    keyed = [[at.timestamp(), *reversed(values)] for at, *values in rows]
    return {"data": {"AAA": {"rows": keyed}}}


OWN = """
path = "/v1/{key}/{symbol}/{interval}"
time = "us"
candles = "data.{symbol}.rows"
rows = "lists"

[query]
until = "{end}"

[intervals]
1d = "D"

[fields]
timestamp = 0
open = 5
high = 4
low = 3
close = 2
volume = 1
"""


def written(folder: Path, text: str) -> ServiceShape:
    path = folder / "upstream.toml"
    path.write_text(text)
    return read_upstream_file(path)


@pytest.mark.parametrize("recorded", [own], indirect=True)
def test_a_shape_of_ones_own_is_described_in_a_file(recorded: Recorded, tmp_path: Path) -> None:
    shape = written(tmp_path, OWN.replace("{key}", "k1"))
    assert not shape.takes_key
    assert written(tmp_path, OWN).takes_key
    candles = recorded.candles(shape)
    assert candles.select("symbol", "timestamp", *VALUES).equals(BARS.head(240))


def test_a_file_may_change_a_ready_shape(tmp_path: Path) -> None:
    shape = written(
        tmp_path, 'shape = "tiingo"\n[fields]\ntimestamp = "date"\nclose = "adjClose"\n'
    )
    assert shape.path == READY_SHAPES["tiingo"].path
    assert shape.fields == {"timestamp": "date", "close": "adjClose"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shape = 'kraken'", "shape to be one of binance"),
        ("shape = 7", "shape to be one of binance"),
        ("colour = 'red'", "colour to be one of the keys shape, path"),
        ("time = 'seconds'", "time to be one of iso, date, s"),
        ("candles = 3", "candles to be a path with dots"),
        ("path = 'candles'", "path to begin with /"),
        ("[fields]\nstart = 't'", "fields to be a table of timestamp"),
        ("[query]\nlimit = 5", "query to be a table of texts"),
        ("candles = 'x'", "fields to say"),
        ("paging = 'next'", "next_page to be set"),
        ("zone = 'America/Gotham'", "zone to be one such as America/New_York"),
        ("a = ", "TOML"),
    ],
)
def test_a_bad_file_is_refused_by_its_key(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(BadSetting, match=f"MARKET_DATA_UPSTREAM_FILE=.*{expected}"):
        written(tmp_path, text)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="a readable text file"):
        read_upstream_file(tmp_path / "none.toml")


UNMISTAKABLE = {
    "klines": binance("/api/v3/klines", {"symbol": "AAA", "interval": "1d", "startTime": "0",
                      "endTime": str(ms(END)), "limit": "999"}, {}),
    "alpaca": {"symbol": "AAA", "bars": short(ROWS, datetime.isoformat), "next_page_token": None},
    "alpaca keyed": {"bars": {"AAA": short(ROWS, datetime.isoformat)}},
    "polygon": {"ticker": "AAA", "results": short(ROWS, ms)},
    "alphavantage": alphavantage("/query", {"apikey": "s3cret", "function": "TIME_SERIES_DAILY",
                                 "symbol": "AAA"}, {}),
    "finnhub": finnhub("/api/v1/stock/candle", {"resolution": "D", "token": "s3cret", "from": "0",
                       "to": "9999999999"}, {}),
    "short names": {"candles": short(ROWS, ms)},
    "short names, bare": short(ROWS, ms),
    "open_time": [{"open_time": ms(at), **dict(zip(VALUES, values, strict=True))}
                  for at, *values in ROWS],
}  # fmt: skip


@pytest.mark.parametrize("name", UNMISTAKABLE)
def test_what_can_not_be_mistaken_needs_no_setting(name: str) -> None:
    candles = read_answer(UNMISTAKABLE[name], shape=ServiceShape(), symbol="AAA", interval="1d")
    assert candles.select("symbol", "timestamp", *VALUES).sort("timestamp").equals(BARS)


def test_an_answer_may_state_the_interval_in_the_words_of_its_service() -> None:
    shape = ServiceShape(intervals={"1d": "full"})
    payload = {"interval": "full", "candles": [{"time": "2024-01-02", "close": 1}]}
    assert read_answer(payload, shape=shape, symbol="AAA", interval="1d").height == 1
    with pytest.raises(UpstreamInvalid, match="another interval than asked: 'full'"):
        read_answer(payload, shape=ServiceShape(), symbol="AAA", interval="1d")


@pytest.mark.parametrize(
    "payload", [{"s": "no_data"}, {"bars": None}, {"ticker": "AAA", "resultsCount": 0}, []]
)
def test_no_data_is_no_candles(payload: object) -> None:
    assert read_answer(payload, shape=ServiceShape(), symbol="AAA", interval="1d").is_empty()


@pytest.mark.parametrize(
    ("payload", "seen"),
    [
        ([[1704153600, 1, 3, 2, 4, 5]], "a list of 6"),
        ({"error": "rate limit", "code": 429}, "the keys 'error', 'code'"),
        ("Exceeded", "'Exceeded'"),
        ({"candles": None}, "the keys 'candles'"),
        ({"bars": short(ROWS, ms), "next_page_token": "x"}, "goes on at its 'next_page_token'"),
        ({"ticker": "BBB", "results": short(ROWS, ms)}, "another symbol than asked: 'BBB'"),
        (
            {"s": "ok", "t": [1], "o": [1, 2], "h": [1], "l": [1], "c": [1], "v": [1]},
            "the keys 's'",
        ),
    ],
)
def test_what_may_be_mistaken_is_refused_by_what_was_seen(payload: object, seen: str) -> None:
    with pytest.raises(UpstreamInvalid) as refused:
        read_answer(payload, shape=ServiceShape(), symbol="AAA", interval="1d")
    assert seen in str(refused.value)
    assert "MARKET_DATA_UPSTREAM_FILE" in str(refused.value) or "another symbol" in seen


def test_candles_count_more_than_a_count_of_none() -> None:
    payload = {"resultsCount": 0, "results": short(ROWS, ms)}
    assert read_answer(payload, **asked(READY_SHAPES["polygon"])).height == len(ROWS)
    for stated in ({"error": "exceeded"}, {"error": "exceeded", "results": []}):
        with pytest.raises(UpstreamInvalid, match=r"states an error in its 'error'.*see no_data"):
            read_answer({"resultsCount": 0, **stated}, **asked(READY_SHAPES["polygon"]))


@pytest.mark.parametrize(
    "payload", [{"s": "error", "t": [], "c": []}, {"error": "API limit reached"}]
)
def test_an_error_in_place_of_columns_is_refused(payload: object) -> None:
    with pytest.raises(UpstreamInvalid, match="states an error"):
        read_answer(payload, **asked(READY_SHAPES["finnhub"]))


def asked(shape: ServiceShape, interval: str = "1d") -> dict[str, Any]:
    return {"shape": shape, "symbol": "AAA", "interval": interval}


NAMES = {name: name for name in ("timestamp", *VALUES)}


def rows_of(stamps: list[str], **further: object) -> list[dict[str, object]]:
    return [{"timestamp": at, **dict.fromkeys(VALUES, 1.0), **further} for at in stamps]


def test_candles_of_several_symbols_are_not_mixed() -> None:
    shape = ServiceShape(candles=("data",), fields=NAMES)
    own, other = (rows_of(["2024-01-02"], symbol=name) for name in ("AAA.US", "ZZZ"))
    assert read_answer({"data": own + own}, **asked(shape)).height == 2
    with pytest.raises(UpstreamInvalid, match=r"several symbols, such as 'AAA.US', 'ZZZ'"):
        read_answer({"data": own + other}, **asked(shape))
    named = shape.with_changes({"fields": {**NAMES, "symbol": "symbol"}})
    with pytest.raises(UpstreamInvalid, match="another symbol than asked: 'ZZZ'"):
        read_answer({"data": other}, **asked(named))
    assert read_answer({"data": rows_of(["2024-01-02"], symbol="aaa")}, **asked(named)).height == 1


def test_prices_may_lie_deeper_in_a_row() -> None:
    fields = {"timestamp": "time", **{name: f"mid.{name[0]}" for name in VALUES[:4]}}
    shape = ServiceShape(candles=("candles",), fields=fields)
    row = {"time": "2024-01-02", "mid": dict(zip("ohlc", ("1", "3", "0.5", "2"), strict=True))}
    read = read_answer({"candles": [row]}, **asked(shape))
    assert read.select(VALUES[:4]).row(0) == (1, 3, 0.5, 2)
    wrong = {**row, "mid": {"open": 1}}
    with pytest.raises(UpstreamInvalid, match=r"no candle has 'mid.o', as fields calls its open"):
        read_answer({"candles": [wrong]}, **asked(shape))


def test_a_volume_of_another_name_is_no_market_without_one() -> None:
    shape = ServiceShape(candles=("data",), fields=NAMES)
    (row,) = rows_of(["2024-01-02"])
    (without,) = rows_of(["2024-01-02"])
    del without["volume"]
    assert read_answer({"data": [without]}, **asked(shape))["volume"].to_list() == [None]
    with pytest.raises(UpstreamInvalid, match="no candle has 'volume', as fields calls its volume"):
        read_answer({"data": [{**without, "vol": 5}]}, **asked(shape))
    assert read_answer({"data": [{**row, "vol": 5}]}, **asked(shape))["volume"].to_list() == [1.0]


@pytest.mark.parametrize("zone", ["America/New_York", "meta.timezone"])
def test_local_times_are_of_the_zone_of_the_shape_or_of_the_answer(zone: str) -> None:
    shape = ServiceShape(candles=("data",), fields=NAMES, zone=zone)
    stamps = ["2024-07-01 09:30:00", "2024-12-02 09:30:00", "2024-11-03 01:30:00",
              "2024-11-04T12:00:00Z", "2024-11-05"]  # fmt: skip
    payload = {"meta": {"timezone": "America/New_York"}, "data": rows_of(stamps)}
    read = read_answer(payload, **asked(shape, "1h"))
    assert [at and f"{at:%m-%d %H:%M}" for at in read["timestamp"]] == [
        "07-01 13:30", "12-02 14:30", None, "11-04 12:00", "11-05 00:00",
    ]  # fmt: skip
    days = read_answer({**payload, "data": rows_of(["2024-07-01 00:00:00"])}, **asked(shape))
    assert str(days["session"][0]) == "2024-07-01"


@pytest.mark.parametrize("meta", [{}, {"timezone": "Nowhere"}, {"timezone": 5}])
def test_an_answer_without_its_zone_is_refused(meta: object) -> None:
    shape = ServiceShape(candles=("data",), fields=NAMES, zone="meta.timezone")
    with pytest.raises(UpstreamInvalid, match=r"states no zone at 'meta.timezone'"):
        read_answer({"meta": meta, "data": rows_of(["2024-07-01 09:30:00"])}, **asked(shape))
    assert read_answer({"meta": meta, "data": []}, **asked(shape)).is_empty()


@pytest.mark.parametrize("recorded", [polygon], indirect=True)
def test_a_symbol_of_dots_leads_to_no_other_path(recorded: Recorded) -> None:
    with pytest.raises(UnknownSymbol):
        recorded.candles(READY_SHAPES["polygon"], "..")
    assert recorded.asked == []


def gone(path: str, query: Query, headers: dict[str, str]) -> Any:
    return (404, {}) if "cursor" in query else polygon(path, query, headers)


@pytest.mark.parametrize("recorded", [gone], indirect=True)
def test_a_next_page_that_is_gone_is_no_end_of_the_candles(recorded: Recorded) -> None:
    with pytest.raises(UpstreamInvalid, match=r"page 2: .*404 for the next page that it names"):
        recorded.candles(READY_SHAPES["polygon"])


@pytest.mark.parametrize(
    ("named", "path"), [("?cursor=9", "/v1/b"), ("/v1/c?cursor=9", "/v1/c"), ("b?cursor=9", "/b")]
)
def test_the_address_of_a_next_page_may_be_relative(named: str, path: str) -> None:
    shape = ServiceShape(query={"from": "{start}", "token": "{key}"})
    request = shape.next_request("/v1/b", {"from": "1", "token": "s3cret"}, named)
    assert request == (path, {"cursor": "9", "token": "s3cret"})


def below(path: str, query: Query, headers: dict[str, str]) -> Any:
    answer = polygon(path.removeprefix("/proxy"), query, headers)
    if "next_url" in answer:
        answer["next_url"] = answer["next_url"].replace("/v2/", "/proxy/v2/")
    return answer


@pytest.mark.parametrize("recorded", [below], indirect=True)
def test_the_address_of_a_next_page_may_begin_as_ours_does(recorded: Recorded) -> None:
    recorded.url += "/proxy"
    assert recorded.candles(READY_SHAPES["polygon"]).height == 240
    assert {path.split("/v2/")[0] for path, _ in recorded.asked} == {"/proxy"}


def test_a_next_page_of_endless_name_is_refused() -> None:
    shape = READY_SHAPES["alpaca"]
    with pytest.raises(UpstreamInvalid, match="next page has 100000 characters"):
        next_page({"bars": [], "next_page_token": "x" * 100_000}, shape, "AAA")


def test_a_refusal_that_is_no_json_names_no_unknown_symbol() -> None:
    shape = next(each for each in READY_SHAPES.values() if each.unknown)
    assert not is_unknown_symbol(b"<html>", shape)


@pytest.mark.parametrize("name", ["alpaca", "binance"])
def test_a_candle_that_is_of_another_kind_than_the_others_is_refused(name: str) -> None:
    shape = READY_SHAPES[name]
    kind = "a list" if shape.rows == "lists" else "an object"
    with pytest.raises(UpstreamInvalid, match=f"a candle is not {kind}"):
        named_row(5, shape)


def test_an_answer_is_read_only_where_it_states_its_success() -> None:
    """A limit of requests in an answer with status 200 is no end of the candles."""
    shape = ServiceShape(
        candles=("data",), fields={name: name for name in ("timestamp", *VALUES)},
        success={"code": "0"},
    )  # fmt: skip
    asked = {"shape": shape, "symbol": "AAA", "interval": "1d"}
    assert read_answer({"code": "0", "data": []}, **asked).is_empty()
    for payload in ({"code": "50011", "data": []}, {"data": []}, []):
        with pytest.raises(UpstreamInvalid, match=r"no success: its 'code' is .*not '0'"):
            read_answer(payload, **asked)


def test_success_is_stated_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "upstream.toml"
    path.write_text('shape = "polygon"\n[success]\nstatus = "OK"\n')
    assert read_upstream_file(path).success == {"status": "OK"}


def circling(path: str, query: Query, headers: dict[str, str]) -> Any:
    page = {"symbol": "AAA", "next_page_token": "same"}
    rows = [
        {"t": at.isoformat(), **dict(zip(LETTERS, values, strict=True))}
        for at, *values in ROWS[:50]
    ]
    return {**page, "bars": rows}


@pytest.mark.parametrize("recorded", [circling], indirect=True)
def test_pages_that_go_round_are_not_taken_for_the_whole(recorded: Recorded) -> None:
    with pytest.raises(UpstreamInvalid, match="page 2: the next page that it names came before"):
        recorded.candles(READY_SHAPES["alpaca"])
    assert len(recorded.asked) == 2


def ending_alike(path: str, query: Query, headers: dict[str, str]) -> Any:
    page: dict[str, Any] = circling(path, query, headers)
    return {**page, "bars": []} if "page_token" in query else page


@pytest.mark.parametrize("recorded", [ending_alike], indirect=True)
def test_a_last_page_without_candles_may_name_itself(recorded: Recorded) -> None:
    assert recorded.candles(READY_SHAPES["alpaca"]).height == 50
