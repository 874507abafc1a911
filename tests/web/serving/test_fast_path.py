"""Plain questions answered by the thread that polls: what it takes, and that nobody can tell."""

from __future__ import annotations

import logging
import re
import select
import selectors
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from gunicorn.config import Config
from tests.factories import random_bars
from tests.patience import eventually
from tests.platforms import NOW, SYMBOLS, make_platform
from tests.published import publish
from tests.serving import Server, serving
from tests.upstream import Fault, LoopbackUpstream
from tests.web.serving.connections import LINE, Line, line_to, raw

from mlengine.bootstrap.platform import Platform
from mlengine.core.lines.line import LineDefinition
from mlengine.errors import DatabaseUnavailable
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.web.http.requests import PLATFORM
from mlengine.web.serving.connections import Connection
from mlengine.web.serving.fast_path import (
    ROUTES,
    FastPathPredictor,
    FastPathRoutes,
    PendingResponse,
    fast_path_predictor,
)
from mlengine.web.serving.request_reader import RequestReader
from mlengine.web.serving.worker import Worker

CLIENT = ("127.0.0.1", 50_000)
PATHS = ("/predict", "/api/v1/predict")


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """A platform that has answered for every symbol once."""
    made = make_platform(tmp_path, MARKET_DATA_CACHE_SECONDS="60")
    now = datetime.now(UTC)
    made.predict.predict_batch(
        SYMBOLS,
        PredictionRequest(request_id="first", now=now, route="/predict/batch"),
    )
    return made


@pytest.fixture
def inline(platform: Platform) -> FastPathPredictor:
    return FastPathPredictor(platform, Config(), FastPathRoutes(PATHS, None, 0))


def audited(platform: Platform) -> list[str]:
    return [row.prediction_id for row in platform.audit.recent(limit=100).rows]


@pytest.mark.parametrize(
    "request_bytes",
    [
        raw(),
        raw("GET /api/v1/predict?symbol=AAA HTTP/1.1"),
        raw(LINE, "Connection: keep-alive", "Accept: */*", "User-Agent: x"),
        raw(LINE, "X-Request-ID: my-own.id_1"),
        raw(LINE, "x-request-id:first", "Accept: */*"),
        raw(LINE, "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https"),
    ],
)
def test_a_plain_question_at_hand_is_answered(
    inline: FastPathPredictor, request_bytes: bytes
) -> None:
    ready = inline.try_answer(request_bytes, CLIENT)
    assert ready is not None
    assert ready.answer.prediction.symbol == "AAA"
    named = re.search(rb"(?i)x-request-id: ?(\S+)", request_bytes)
    if named:
        assert ready.answer.prediction.request_id == named[1].decode()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        LINE.encode() + b"\r\n\r\n",
        raw()[:-2],
        raw()[:-1],
        raw() + b"G",
        raw() + raw(),
        raw(LINE.replace("1.1", "1.0")),
        raw(LINE.replace("GET", "HEAD")),
        raw(LINE.replace("GET", "POST"), "Content-Length: 0"),
        raw(LINE, "Content-Length: 0"),
        raw(LINE, "Content-Length: 3") + b"abc",
        raw(LINE, "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        raw(LINE, "Connection: close"),
        raw(LINE, "Connection: Upgrade", "Upgrade: websocket"),
        raw(LINE, "Expect: 100-continue"),
        raw(LINE, "X-Request-ID: one", "X-Request-ID: two"),
        raw(LINE, "X-Request-ID: not sane"),
        raw(LINE, "X-Request-ID:"),
        raw(LINE, f"X-Request-ID: {'x' * 129}"),
        raw(LINE, "SCRIPT_NAME: /else"),
        raw(LINE, "Bad Name: 1"),
        raw(LINE, " folded: 1"),
        raw(LINE, "X-Forwarded-Proto: https", "X-Forwarded-Ssl: off"),
        raw(LINE, *["X-Many: 1"] * 120),
        raw(LINE, *["X-Many: 1"] * 99, "X-Request-ID: one-too-many"),
        raw(LINE, f"X-Long: {'x' * 9000}"),
        raw(LINE, "X-Bare: a\nb"),
        raw(LINE.replace("AAA", "AAA&explain=true")),
        raw(LINE.replace("AAA", "%41AA")),
        raw(LINE.replace("AAA", "")),
        raw(LINE.replace("symbol", "Symbol")),
        raw(LINE.replace("/predict", "//predict")),
        raw(LINE.replace("/predict", "/predict/")),
        raw(LINE.replace("/predict", "http://localhost/predict")),
        raw(LINE.replace(" HTTP", "#f HTTP")),
        raw(LINE.replace("AAA", "NOPE")),
    ],
)
def test_whatever_is_not_plain_or_not_at_hand_is_left_alone(
    inline: FastPathPredictor, platform: Platform, request_bytes: bytes
) -> None:
    before = audited(platform)
    assert inline.try_answer(request_bytes, CLIENT) is None
    assert audited(platform) == before


def test_every_header_is_judged_for_the_client_that_sent_it(inline: FastPathPredictor) -> None:
    contradictory = raw(LINE, "X-Forwarded-Proto: https", "X-Forwarded-Ssl: off")
    assert inline.try_answer(contradictory, CLIENT) is None
    assert inline.try_answer(contradictory, ("192.0.2.1", 1)) is not None


def test_the_answer_is_the_one_of_the_long_way(
    inline: FastPathPredictor, platform: Platform
) -> None:
    ready = inline.try_answer(raw(), CLIENT)
    assert ready is not None
    asked = {"as_of": None, "version": None, "explain": False}
    other = platform.predict.predict(
        "AAA", PredictionRequest(**asked, request_id="r", now=ready.answer.at)
    )
    own = {"prediction_id": "", "request_id": "", "latency_ms": other.latency_ms}
    assert replace(ready.answer.prediction, **own) == replace(other, **own)


def test_nothing_is_in_the_audit_before_it_is_committed_and_all_after(
    inline: FastPathPredictor, platform: Platform
) -> None:
    before = set(audited(platform))
    waiting = _ready(inline)
    assert set(audited(platform)) == before
    assert None not in inline.respond(waiting)
    rows = [platform.audit.get(each.answer.prediction.prediction_id) for each in waiting]
    made = [each.answer.prediction for each in waiting]
    assert [row.symbol for row in rows] == list(SYMBOLS)
    assert [row.probability_up for row in rows] == [each.probability_up for each in made]
    assert [row.bars_hash for row in rows] == [each.bars_hash for each in made]


def test_a_new_active_version_has_to_be_loaded_first(
    inline: FastPathPredictor, platform: Platform, tmp_path: Path
) -> None:
    publish(platform.models.registry.directory, seed=2, run_id="other")
    platform.models.registry.activate("v2", actor="x", reason="", now=NOW)
    assert inline.try_answer(raw(), CLIENT) is None
    assert platform.predict.loader.active().version == "v2"
    inline.begin_round()
    ready = inline.try_answer(raw(), CLIENT)
    assert ready is not None
    assert ready.answer.prediction.model_version == "v2"


def test_a_locked_audit_is_left_to_those_who_can_wait(
    inline: FastPathPredictor, platform: Platform, tmp_path: Path
) -> None:
    before, waiting = audited(platform), _ready(inline)
    with _locked(tmp_path / "artifacts" / "audit.db"):
        assert inline.respond(waiting) == [None] * len(SYMBOLS)
    assert audited(platform) == before
    assert None not in inline.respond(waiting)


def test_rows_in_the_spool_are_left_to_those_who_bring_them_back(
    inline: FastPathPredictor, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise DatabaseUnavailable("on purpose")

    (waiting,) = _ready(inline)[:1]
    with monkeypatch.context() as broken:
        broken.setattr(type(platform.audit.store).__mro__[1], "append", down)
        platform.audit.store.append([waiting.answer])
    assert inline.respond(_ready(inline)) == [None] * len(SYMBOLS)
    platform.audit.store.drain()
    assert None not in inline.respond(_ready(inline))


@pytest.mark.parametrize("setting", [("accesslog", "-"), ("statsd_host", "localhost:8125")])
def test_a_server_that_tells_others_of_each_request_has_no_counter(
    platform: Platform, setting: tuple[str, str]
) -> None:
    app = SimpleNamespace(extensions={PLATFORM: platform, ROUTES: FastPathRoutes(PATHS, None, 0)})
    cfg = Config()
    assert fast_path_predictor(app, cfg) is not None
    cfg.set(*setting)
    assert fast_path_predictor(app, cfg) is None


def _ready(inline: FastPathPredictor) -> list[PendingResponse]:
    found = [inline.try_answer(raw(LINE.replace("AAA", each)), CLIENT) for each in SYMBOLS]
    return [ready for ready in found if ready is not None]


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@contextmanager
def one_worker(folder: Path, **environ: str) -> Iterator[Server]:
    with serving(folder, ready="/predict?symbol=AAA", WEB_WORKERS="1", **environ) as server:
        yield server


@pytest.mark.usefixtures("platform")
def test_nobody_can_tell_who_answered(tmp_path: Path) -> None:
    """A length makes a request one for the framework; the others are answered inline."""
    request_bytes = raw(LINE, "X-Request-ID: the-same")
    by_framework = raw(LINE, "X-Request-ID: the-same", "Content-Length: 0")
    with one_worker(tmp_path) as server, line_to(server.port) as line:
        answers = [line.ask(each) for each in (by_framework, request_bytes, request_bytes)]
    common = [_common(*each) for each in answers]
    assert common[0] == common[1] == common[2]


def _common(head: list[str], body: Mapping[str, object]) -> object:
    varies = ("Date", "Content-Length")
    said = {name: value for name, value in body.items() if name not in _OWN}
    return [each for each in head if not each.startswith(varies)], list(body), said


_OWN = ("prediction_id", "as_of", "latency_ms")


@pytest.mark.usefixtures("platform")
def test_requests_in_one_packet_or_in_pieces_are_answered_in_order(tmp_path: Path) -> None:
    with one_worker(tmp_path) as server, line_to(server.port) as line:
        line.ask(raw())
        line.socket.sendall(b"".join(raw(LINE.replace("AAA", each)) for each in SYMBOLS))
        assert [line.answer()[1]["symbol"] for _ in SYMBOLS] == list(SYMBOLS)
        for cut in (1, 20, len(raw()) - 1):
            line.socket.sendall(raw()[:cut])
            time.sleep(0.05)
            assert line.ask(raw()[cut:])[1]["symbol"] == "AAA"


@contextmanager
def _worker() -> Iterator[Worker]:
    """As far as gunicorn makes it before it accepts."""
    worker = Worker(1, 0, [], None, 30, Config(), logging.getLogger("gunicorn"))
    worker.tpool, worker.poller = ThreadPoolExecutor(1), selectors.DefaultSelector()
    worker.method_queue.init()
    worker.poller.register(
        worker.method_queue.fileno(), selectors.EVENT_READ, worker.method_queue.run_callbacks
    )
    try:
        yield worker
    finally:
        worker.tpool.shutdown()
        worker.tmp.close()
        worker.poller.close()
        worker.method_queue.close()


@contextmanager
def _kept(worker: Worker) -> Iterator[tuple[Connection, socket.socket]]:
    """A kept connection of the worker, and its client's end."""
    server, client = socket.socketpair()
    client.settimeout(20)
    with server, client:
        server.setblocking(False)
        conn = Connection(server, CLIENT, CLIENT, RequestReader(worker.cfg, CLIENT))
        worker.connections.add(conn, time.monotonic() + 20)
        worker.poll(conn, selectors.EVENT_READ, worker.on_client_socket_readable)
        worker.nr_conns += 1
        yield conn, client


def test_an_answer_that_the_client_does_not_take_at_once_is_sent_by_a_thread() -> None:
    with _worker() as worker, _kept(worker) as (conn, client):
        response = bytes(range(256)) * 8_000
        worker._send(conn, response)
        assert worker.connections.is_waiting(conn)
        received = b""
        while len(received) < len(response):
            received += client.recv(1 << 20)
            worker.wait_for_and_dispatch_events(0)
        assert received == response
        assert worker.connections.longest_idle() is conn


def test_a_client_that_asks_again_or_goes_before_its_answer_is_left_waiting(
    inline: FastPathPredictor, platform: Platform
) -> None:
    before = len(audited(platform))
    with _worker() as worker, _kept(worker) as (conn, client), _kept(worker) as (other, gone):
        worker._fast_path = inline
        client.sendall(raw())
        gone.sendall(raw())
        for each in (conn, other):
            worker.on_client_socket_readable(each, each.sock)
        client.sendall(raw(LINE.replace("AAA", "BBB")))
        gone.close()
        worker.wait_for_and_dispatch_events(0)
        assert len(audited(platform)) == before + 2
        worker.wait_for_and_dispatch_events(20)
        line = Line(client)
        assert [line.answer()[1]["symbol"] for _ in range(2)] == ["AAA", "BBB"]
    assert len(audited(platform)) == before + 3


def test_what_is_at_hand_is_answered_while_all_threads_wait(tmp_path: Path) -> None:
    make_platform(tmp_path)
    bars = pl.concat([random_bars(symbol, rows=400) for symbol in (*SYMBOLS, "SLOW")])
    with LoopbackUpstream(bars) as upstream:
        served = {"MARKET_DATA_DIR": "", "MARKET_DATA_BASE_URL": upstream.url}
        with one_worker(tmp_path, **served) as server, line_to(server.port) as line:
            line.ask(raw())
            before = len(upstream.requests)
            upstream.always = Fault(delay_seconds=4)
            waiting = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(4)]
            for each in waiting:
                each.sendall(raw(LINE.replace("AAA", "SLOW")))
            assert eventually(lambda: len(upstream.requests) == before + 1)
            assert line.ask(raw())[1]["symbol"] == "AAA"
            assert not select.select(waiting, [], [], 0)[0]
            upstream.always = None
            for each in waiting:
                each.close()


def test_a_worker_leaves_new_connections_to_those_that_have_fewer_and_takes_what_is_left() -> None:
    cfg = Config()
    cfg.set("workers", 2)
    worker = Worker(1, 0, [], None, 30, cfg, logging.getLogger("gunicorn"))
    taken: list[Connection] = []
    worker.poll = lambda conn, *_: taken.append(conn)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        lines = [socket.create_connection(listener.getsockname()) for _ in range(2)]
        worker.accept(listener)
        assert len(taken) == 1, "who has none takes it at once"
        worker.nr_conns = 10_000
        worker.accept(listener)
        assert len(taken) == 1
        assert eventually(lambda: worker.accept(listener) or len(taken) == 2)
        for conn in taken:
            conn.sock.close()
        for line in lines:
            line.close()
    worker.tmp.close()
    worker.method_queue.close()


def test_other_lines_are_answered_where_they_are_at_hand(
    inline: FastPathPredictor, platform: Platform
) -> None:
    now = platform.control.clock()
    question = raw(LINE.replace("AAA", "AAA&model=slow"))
    assert inline.try_answer(question, CLIENT) is None
    platform.control.lines.save("slow", LineDefinition(), actor="ann", now=now)
    line = platform.of_line("slow")
    publish(line.registry.directory, seed=9, run_id="slow", model="slow")
    line.models.activate("v1", actor="ann", reason="first", now=now)
    line.loader.active()
    inline.begin_round()
    ready = inline.try_answer(question, CLIENT)
    assert ready is not None
    prediction = ready.answer.prediction
    assert (prediction.symbol, prediction.model, prediction.model_version) == ("AAA", "slow", "v1")
    (main,) = (inline.try_answer(raw(), CLIENT),)
    assert main is not None
    assert all(inline.respond([ready, main]))
    rows = platform.audit.recent(limit=2).rows
    assert {row.model for row in rows} == {"slow", "main"}
    platform.control.lines.retire("slow", actor="ann", now=now)
    inline.begin_round()
    assert inline.try_answer(question, CLIENT) is None
