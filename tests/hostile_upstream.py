"""A market-data service that means harm, in a process of its own: what it does, the symbol says."""

from __future__ import annotations

import functools
import gzip
import json
import multiprocessing
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

Query = dict[str, str]

DAY = timedelta(days=1)
_PIECE = 1 << 20


def candle(at: datetime) -> dict[str, object]:
    prices = {"open": 1.5, "high": 1.5, "low": 1.5, "close": 1.5, "volume": 1}
    return {"timestamp": at.isoformat(), **prices}


def _answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


def _json(payload: object) -> bytes:
    return _answer("200 OK", body=json.dumps(payload).encode())


def _endless_body(client: socket.socket, piece: bytes, total: int, *headers: str) -> None:
    head = ("HTTP/1.1 200 OK", f"Content-Length: {total}", *headers, "", "")
    client.sendall("\r\n".join(head).encode())
    for _ in range(total // len(piece) + 1):
        client.sendall(piece)


def _good(client: socket.socket, query: Query) -> None:
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = datetime.fromisoformat(query["start"])
    days = [end - n * DAY for n in range(400, 0, -1)]
    client.sendall(_json({"candles": [candle(day) for day in days if day >= start]}))


def _status_503(client: socket.socket, query: Query) -> None:
    client.sendall(_answer("503 Service Unavailable"))


def _reset(client: socket.socket, query: Query) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def _hang(client: socket.socket, query: Query) -> None:
    time.sleep(60)


def _header_hang(client: socket.socket, query: Query) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n")
    time.sleep(60)


def _header_drip(client: socket.socket, query: Query) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 100:
        client.sendall(bytes([byte]))
        time.sleep(1)


def _drip(client: socket.socket, query: Query) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(60):
        client.sendall(b"[")
        time.sleep(1)


@functools.cache
def _ten_megabytes_packed() -> bytes:
    return gzip.compress(b"0" * (10 << 20))


def _bomb(client: socket.socket, query: Query) -> None:
    piece = _ten_megabytes_packed()
    _endless_body(client, piece, 1_000 * len(piece), "Content-Encoding: gzip")


@functools.cache
def _rows() -> bytes:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    rows = [json.dumps(candle(start + n * timedelta(minutes=1))) for n in range(8_000)]
    return ("[" + ",".join(rows) + ",").encode()


def _candles(megabytes: int) -> Callable[[socket.socket, Query], None]:
    return lambda client, _: _endless_body(client, _rows(), megabytes << 20)


@functools.cache
def _many_rows() -> bytes:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    rows = [json.dumps(candle(start + n * timedelta(minutes=1))) for n in range(100_000)]
    return ("[" + ",".join(rows) + "]").encode()


def _many_candles(client: socket.socket, query: Query) -> None:
    """More than 10 MB, and yet as many as a service without a limit may give."""
    client.sendall(_answer("200 OK", body=_many_rows()))


def _long_text(client: socket.socket, query: Query) -> None:
    body = b'[{"timestamp":"' + b"x" * (48 << 20) + b'"}]'
    client.sendall(_answer("200 OK", body=body))


def _nested(client: socket.socket, query: Query) -> None:
    client.sendall(_answer("200 OK", body=b"[" * (20 << 20) + b"]" * (20 << 20)))


def _empty_objects(client: socket.socket, query: Query) -> None:
    _endless_body(client, b"{}," * (_PIECE // 3), 60 << 20)


def _white_space(client: socket.socket, query: Query) -> None:
    _endless_body(client, b" " * _PIECE, 500 << 20)


def _endless_pages(client: socket.socket, query: Query) -> None:
    start = datetime.fromisoformat(query["start"])
    times = [start + timedelta(seconds=n + 1) for n in range(1_000)]
    client.sendall(_json({"candles": [candle(at) for at in times]}))


def _tiny_pages(client: socket.socket, query: Query) -> None:
    start = datetime.fromisoformat(query["start"])
    client.sendall(_json({"candles": [candle(start + timedelta(seconds=1))]}))


def _other_symbol(client: socket.socket, query: Query) -> None:
    client.sendall(_json({"symbol": 0, "candles": [candle(datetime(2020, 1, 1, tzinfo=UTC))]}))


BEHAVIOURS: dict[str, Callable[[socket.socket, Query], None]] = {
    "STATUS": _status_503,
    "RESET": _reset,
    "HANG": _hang,
    "HEADERHANG": _header_hang,
    "HEADERDRIP": _header_drip,
    "DRIP": _drip,
    "BOMB": _bomb,
    "CANDLES20": _candles(20),
    "CANDLES500": _candles(500),
    "EMPTY": _empty_objects,
    "SPACE": _white_space,
    "ENDLESS": _endless_pages,
    "TINY": _tiny_pages,
    "OTHER": _other_symbol,
}

# What a service may give that takes no limit, and what it costs to find out that it may not.
LONG_BEHAVIOURS: dict[str, Callable[[socket.socket, Query], None]] = {
    "MANY": _many_candles,
    "TEXT": _long_text,
    "NESTED": _nested,
    "CANDLES40": _candles(40),
}


def _serve_one(client: socket.socket) -> None:
    with client, suppress(OSError, ValueError):
        while head := client.recv(65_536):
            path = head.split(b" ", 2)[1].decode()
            query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
            behaviour = {**BEHAVIOURS, **LONG_BEHAVIOURS}.get(
                query["symbol"].partition("-")[0], _good
            )
            behaviour(client, query)
            if behaviour not in (_good, _status_503, _endless_pages, _tiny_pages, _other_symbol):
                return


def _serve(listener: socket.socket) -> None:
    _ten_megabytes_packed(), _rows(), _many_rows()
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_serve_one, args=[client], daemon=True).start()


@contextmanager
def hostile_upstream() -> Iterator[str]:
    """Its address, while it runs."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=[listener], daemon=True
        )
        process.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.kill()
            process.join()
