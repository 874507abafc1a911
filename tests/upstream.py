"""A real market-data service on loopback, for tests: the candle contract, with faults to order."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import polars as pl

Candle = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """What to do instead of a good answer; several fields may be combined.

    `delay_seconds` waits first; `reset` then kills the connection; `status` and `body` (200 and
    the good body when not given) are sent with `headers`; `drip_seconds` sends the body byte by
    byte; `cut_bytes` ends it too early, after that many bytes.
    """

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    reset: bool = False
    drip_seconds: float = 0.0
    cut_bytes: int | None = None


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as it came in; `query` has the first value of each name."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    at: float


class LoopbackUpstream:
    """Serves `/candles` on 127.0.0.1 from bars (BARS_SCHEMA, any symbols) while entered.

    `serve` replaces the bars of the symbols given, `add` appends raw candles in any shape,
    `fail` orders faults for the next requests, `always` one for all; `requests` is what was
    asked. `page_limit` caps a page below what was asked for, `whole` serves everything whatever
    was asked, `bare` answers with a list alone,
    `shape` rewrites each candle, `envelope` the whole answer. `actions` by symbol are served at
    `/actions`, with `actions_fault` if there is one; a symbol without has none.
    """

    def __init__(self, bars: pl.DataFrame | None = None, *, interval: str = "1d") -> None:
        self.interval = interval
        self.page_limit = 1000
        self.whole = False
        self.bare = False
        self.shape: Callable[[Candle], Candle] = dict
        self.envelope: Callable[[dict[str, Any]], Any] = dict
        self.always: Fault | None = None
        self.actions: dict[str, list[dict[str, Any]]] = {}
        self.actions_fault: Fault | None = None
        self.requests: list[ReceivedRequest] = []
        self.connections = 0
        self._candles: dict[str, list[tuple[datetime, Candle]]] = {}
        self._faults: deque[Fault] = deque()
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        if bars is not None:
            self.serve(bars)

    @property
    def url(self) -> str:
        """What MARKET_DATA_BASE_URL is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, bars: pl.DataFrame) -> None:
        """Serve these bars; a symbol that was served before is replaced."""
        for part in bars.partition_by("symbol"):
            rows = part.drop("symbol").sort("timestamp").to_dicts()
            self._candles[part["symbol"][0]] = [
                (row["timestamp"], {**row, "timestamp": iso(row["timestamp"])}) for row in rows
            ]

    def add(self, symbol: str, at: datetime, candle: Candle) -> None:
        """One more candle of `symbol`, served as it is; `at` is what ranges are held against."""
        self._candles.setdefault(symbol, []).append((at, candle))

    def forget(self, symbol: str) -> None:
        """Answer 404 for `symbol` from now on."""
        self._candles.pop(symbol, None)

    def fail(self, *faults: Fault) -> None:
        """One fault for each of the next requests, in this order."""
        with self._lock:
            self._faults.extend(faults)

    def answer(self, request: ReceivedRequest) -> tuple[Fault, bytes]:
        """The fault to show and the body that a good answer would have."""
        with self._lock:
            self.requests.append(request)
            fault = self._faults.popleft() if self._faults else self.always or Fault()
        symbol = request.query.get("symbol", "")
        if request.path == "/actions" and (symbol in self.actions or self.actions_fault):
            fault = self.actions_fault or fault
            return fault, orjson.dumps({"symbol": symbol, "actions": self.actions.get(symbol, [])})
        if request.path != "/candles" or symbol not in self._candles:
            missing = Fault(status=404) if fault == Fault() else fault
            return missing, b'{"error":"unknown symbol"}'
        return fault, orjson.dumps(self._page(symbol, request.query))

    def _page(self, symbol: str, query: Mapping[str, str]) -> Any:
        start = datetime.fromisoformat(query["start"])
        end = datetime.fromisoformat(query["end"])
        limit = min(int(query["limit"]), self.page_limit)
        stored = self._candles[symbol]
        within = [candle for at, candle in stored if start <= at < end][:limit]
        served = [candle for _, candle in stored] if self.whole else within
        candles = [self.shape(candle) for candle in served]
        if self.bare:
            return candles
        return self.envelope({"symbol": symbol, "interval": self.interval, "candles": candles})

    def __enter__(self) -> LoopbackUpstream:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; from now on connections are refused."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def iso(moment: datetime) -> str:
    """RFC 3339 with `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def queries(requests: Iterable[ReceivedRequest], name: str) -> Sequence[str]:
    """The values of one name of the query, request by request."""
    return [request.query[name] for request in requests]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, upstream: LoopbackUpstream) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.upstream.connections += 1

    def do_GET(self) -> None:
        fault, good = self.server.upstream.answer(self._request())
        time.sleep(fault.delay_seconds)
        if fault.reset:
            self._kill()
            return
        self._send(fault, good if fault.body is None else fault.body)

    def _request(self) -> ReceivedRequest:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return ReceivedRequest(parts.path, query, dict(self.headers), time.monotonic())

    def _send(self, fault: Fault, body: bytes) -> None:
        self.send_response(fault.status)
        for name, value in {"Content-Length": str(len(body)), **fault.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if fault.cut_bytes is not None:
            self.wfile.write(body[: fault.cut_bytes])
            self.close_connection = True
        elif fault.drip_seconds:
            self._drip(body, fault.drip_seconds)
        else:
            self.wfile.write(body)

    def _drip(self, body: bytes, seconds: float) -> None:
        for byte in body:
            self.wfile.write(bytes([byte]))
            time.sleep(seconds)

    def _kill(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: `requests` has it all."""
