"""Smuggling, pipelining, broken framing: answered inline or by a thread, in one piece or many."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.platforms import SYMBOLS, make_platform
from tests.serving import serving
from tests.web.serving import corpus
from tests.web.serving.test_fast_path_equals_framework import constant

_ID = re.compile(rb'"(request_id|prediction_id)":"[^"]*"|X-Request-ID: [^\r]*')


@contextmanager
def both_ways(folder: Path) -> Iterator[tuple[int, int]]:
    """The ports of a server that answers inline, and of one whose threads answer everything."""
    make_platform(folder)
    ready = "/predict?symbol=AAA"
    with (
        serving(folder, ready=ready, WEB_WORKERS="1") as inline,
        serving(folder, "--access-logfile", "/dev/null", ready=ready, WEB_WORKERS="1") as threads,
    ):
        for server in (inline, threads):
            assert all(server.ask(f"/predict?symbol={each}").status == 200 for each in SYMBOLS)
        yield inline.port, threads.port


def said(port: int, raw: bytes, cuts: tuple[int, ...] = ()) -> bytes:
    """All that the server says to these bytes, sent in pieces, until both have closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for begin, end in zip((0, *cuts), (*cuts, len(raw)), strict=True):
                connection.sendall(raw[begin:end])
            connection.shutdown(socket.SHUT_WR)
            parts = iter(lambda: connection.recv(65536), b"")
            answers = b"".join(parts)
        except ConnectionError:
            return b"reset"
    return _ID.sub(b"-", constant(answers))


def compare(folder: Path, *, seed: int, count: int) -> None:
    with both_ways(folder) as (inline, threads):
        for number, raw in enumerate(corpus.requests(seed, count)):
            expected = said(threads, raw)
            assert said(inline, raw) == expected, raw
            if number % 4 == 0:
                middle = len(raw) // 2
                assert said(inline, raw, (middle, middle + 1)) == expected, (raw, "in pieces")


def test_some_of_the_corpus_is_answered_alike_both_ways(tmp_path: Path) -> None:
    compare(tmp_path, seed=3, count=150)


@pytest.mark.soak
def test_twenty_thousand_of_the_corpus_are_answered_alike_both_ways(tmp_path: Path) -> None:
    compare(tmp_path, seed=4, count=20_000)
