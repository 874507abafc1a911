"""Raw requests that two readers may read differently, each with what it begins with."""

from __future__ import annotations

import random
from collections.abc import Iterator

HOST = b"Host: localhost"
TARGETS = (
    b"/predict?symbol=AAA",
    b"/api/v1/predict?symbol=BBB",
    b"/predict?symbol=%41AA",
    b"/predict?symbol=AAA#f",
    b"http://localhost/predict?symbol=AAA",
    b"http://other/predict?symbol=AAA",
    b"//predict?symbol=AAA",
    b"/predict/../predict?symbol=AAA",
    b"/predict;x?symbol=AAA",
    b"*",
    b"localhost:80",
    b"/predict?symbol=AAA\t",
    b"/predict?symbol=A\x00A",
    b"",
)
VERSIONS = (
    b"HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"http/1.1",
    b"HTTP/1.1 ",
)
HEADERS = (
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Content-Length: +5",
    b"Content-Length: 5, 5",
    b"Content-Length: 0x5",
    b"Content-Length:5\r\nContent-Length: 6",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"X-Folded: a\r\n b",
    b" Leading: a",
    b"X-Bare: a\nX-Other: b",
    b"X-Return: a\rb",
    b"X-Nul: a\x00b",
    b"X Space: a",
    b": empty",
    b"no colon",
    b"SCRIPT_NAME: /predict",
    b"PATH_INFO: /models",
    b"Connection: close",
    b"Connection: keep-alive, close",
    b"Expect: 100-continue",
    b"Expect: 200-ok",
    b"Upgrade: h2c\r\nConnection: Upgrade",
    b"X-Request-ID: the-id\r\nX-Request-ID: another",
    b"X-Request-ID: the id",
    b"Host: other",
    b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off",
    b"Accept: */*",
    b"Cookie: a=b",
)
BODIES = (
    b"",
    b"",
    b"abcde",
    b"5\r\nabcde\r\n0\r\n\r\n",
    b"5;x=y\r\nabcde\r\n0\r\nX-Trailer: 1\r\n\r\n",
    b"5\nabcde\n0\n\n",
    b"-1\r\n\r\n",
    b"0x5\r\nabcde\r\n0\r\n\r\n",
    b"5\r\nabcdeXX0\r\n\r\n",
    b"0\r\n\r\nGET /models HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /predict?symbol=CCC HTTP/1.1\r\nHost: localhost\r\n\r\n",
)
ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n")


def requests(seed: int, count: int) -> Iterator[bytes]:
    """Mostly sound in all but one or two things."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    for _ in range(count):
        method = dice.choice([b"GET"] * 6 + [b"POST", b"HEAD", b"get", b"CONNECT", b"G\x00T"])
        target = TARGETS[0] if dice.random() < 0.6 else dice.choice(TARGETS)
        line = b" ".join([method, target, dice.choice(VERSIONS)])
        headers = dice.sample(HEADERS, dice.choice([0, 0, 1, 1, 2, 3]))
        if dice.random() < 0.93:
            headers.insert(0, HOST)
        end = b"\r\n" if dice.random() < 0.9 else dice.choice(ENDS)
        head = end.join([line, *headers, b"", b""])
        yield head + (dice.choice(BODIES) if dice.random() < 0.4 else b"")
