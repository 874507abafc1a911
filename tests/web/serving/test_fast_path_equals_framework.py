"""Random requests, answered inline and by the framework: the same bytes but for what varies."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.platforms import SYMBOLS, make_platform
from tests.queue_process import QueueProcess
from tests.serving import serving
from tests.web.serving.connections import raw

from mlengine.web.serving.fast_path import fast_path_request_pattern

PATHS = ("/predict", "/api/v1/predict")
TRACED = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TWO = ["Origin: http://desk", "Origin: http://desk"]
# Ids that the server makes, moments, what is left of the limit, latencies and so the length.
_VARIES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (rb"\r\nDate: [^\r]+", b"\r\nDate: -"),
        (rb"\r\nContent-Length: \d+", b"\r\nContent-Length: -"),
        (rb"\r\nX-RateLimit-(Remaining|Reset): \d+", rb"\r\nX-RateLimit-\1: -"),
        (rb";r=\d+;t=\d+\r", b";r=-;t=-\r"),
        (rb"[0-9a-f]{32}", b"-"),
        (rb'"as_of":"[^"]+"', b'"as_of":"-"'),
        (rb'"latency_ms":\{[^}]+\}', b'"latency_ms":"-"'),
    ]
]


@pytest.fixture
def queue() -> Iterator[QueueProcess]:
    with QueueProcess() as running:
        yield running


def test_some_random_requests(tmp_path: Path, queue: QueueProcess) -> None:
    compare(tmp_path, queue, count=400)


@pytest.mark.parametrize(
    "origins", [pytest.param("*", marks=pytest.mark.soak), "http://desk,http://other"]
)
def test_some_requests_of_pages(tmp_path: Path, queue: QueueProcess, origins: str) -> None:
    compare(tmp_path, queue, count=200, CORS_ORIGINS=origins)


@pytest.mark.soak
def test_twenty_thousand_random_requests(tmp_path: Path, queue: QueueProcess) -> None:
    compare(tmp_path, queue, count=20_000)


def compare(folder: Path, queue: QueueProcess, *, count: int, **changed: str) -> None:
    make_platform(folder)
    limited = {"REDIS_URL": queue.url, "RATE_LIMIT_REQUESTS": "1000000000", **changed}
    plain, inline = fast_path_request_pattern(PATHS), 0
    with (
        serving(folder, ready="/predict?symbol=AAA", WEB_WORKERS="1", **limited) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection,
    ):
        for symbol in SYMBOLS:
            exchange(connection, raw(f"GET /predict?symbol={symbol} HTTP/1.1"))
        for line, headers in random_requests(random.Random(11), count):  # noqa: S311 - no secret
            answer = exchange(connection, raw(line, *headers))
            # A length makes a request one for the framework.
            by_framework = exchange(connection, raw(line, *headers, "Content-Length: 0"))
            assert constant(answer) == constant(by_framework), line
            inline += bool(plain.match(raw(line)))
    assert inline > count / 3


def random_requests(dice: random.Random, count: int) -> Iterator[tuple[str, list[str]]]:
    """Mostly plain ones for symbols in memory, with headers and ids of all kinds."""
    for _ in range(count):
        symbol = dice.choice([*SYMBOLS, *SYMBOLS, *SYMBOLS, "NOPE", "a b", "", "%41AA"])
        more = dice.choice(["", "", "", "", "&explain=true", "&version=v9", "&model=main"])
        headers = [
            dice.choice(["Accept: */*", "accept: application/json", "Accept-Encoding: gzip"]),
            dice.choice(["User-Agent: curl/8", "User-Agent: é", "Cookie: a=b", "X-Custom: 1"]),
            f"X-Forwarded-For: 10.0.0.{dice.randrange(256)}",
            *dice.choice([[], [], [TRACED], [f"{TRACED}-x"], ["Traceparent: no"]]),
            *dice.choice([[], [], ["Origin: http://desk"], ["Origin: http://evil"], TWO]),
        ]
        named = dice.random()
        if named < 0.4:
            headers.append(f"X-Request-ID: {dice.randrange(10**12)}.{'x' * dice.randrange(90)}")
        elif named < 0.5:
            headers.append(f"X-Request-ID: {dice.choice(['', 'not sane', 'y' * 129])}")
        query = f"symbol={symbol}{more}".replace(" ", "%20")
        yield f"GET {dice.choice(PATHS)}?{query} HTTP/1.1", headers


def exchange(connection: socket.socket, request: bytes) -> bytes:
    """The whole answer to one request on a kept connection."""
    connection.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    assert length is not None
    while len(body) < int(length[1]):
        body += more(connection)
    return head + b"\r\n\r\n" + body


def more(connection: socket.socket) -> bytes:
    chunk = connection.recv(1 << 16)
    assert chunk, "the connection was closed"
    return chunk


def constant(answer: bytes) -> bytes:
    for pattern, replacement in _VARIES:
        answer = pattern.sub(replacement, answer)
    return answer
