"""The limit on predictions that are answered inline: exact, counted once, and never in the way."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from gunicorn.config import Config
from redis import Redis
from tests.patience import patience
from tests.platforms import SYMBOLS, make_platform, settings
from tests.queue_process import QueueProcess, commands_during
from tests.serving import Asker, serving
from tests.web.conftest import MakeApp
from tests.web.serving.connections import line_to, raw
from tests.web.serving.test_fast_path import _locked

from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform
from mlengine.bootstrap.telemetry import counters_folder
from mlengine.core.telemetry.families import LIMITER_FALLBACKS
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.telemetry.counter_folder import CounterFolder
from mlengine.web.http import limits
from mlengine.web.http.rate_limit_headers import Headers
from mlengine.web.serving.fast_path import ROUTES, FastPathPredictor, FastPathRoutes

ADDRESS = "192.0.2.7"
PATH = "/predict?symbol=AAA"


@pytest.fixture
def queue() -> Iterator[QueueProcess]:
    with QueueProcess() as running:
        yield running


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """A platform that has answered for every symbol once."""
    platform = make_platform(tmp_path, MARKET_DATA_CACHE_SECONDS="60")
    now = datetime.now(UTC)
    platform.predict.predict_batch(
        SYMBOLS,
        PredictionRequest(request_id="first", now=now, route="/predict/batch"),
    )
    return platform


def routes(app: Flask) -> FastPathRoutes:
    found: FastPathRoutes = app.extensions[ROUTES]
    return found


def limit_of(app: Flask) -> limits.RateLimit:
    rate_limit = routes(app).rate_limit
    assert rate_limit is not None
    return rate_limit


def limited(folder: Path, queue: QueueProcess, requests: int) -> Flask:
    return create_app(
        settings(folder, REDIS_URL=queue.url, RATE_LIMIT_REQUESTS=str(requests)),
        make_platform(folder, MARKET_DATA_CACHE_SECONDS="60"),
    )


def remaining(admitted: list[Headers | None]) -> list[int | None]:
    return [int(dict(each)["X-RateLimit-Remaining"]) if each else None for each in admitted]


def test_a_round_is_counted_by_one_exchange_with_one_command_an_address(
    make_app: MakeApp, queue: QueueProcess
) -> None:
    limit = limit_of(make_app(REDIS_URL=queue.url, RATE_LIMIT_REQUESTS="9"))
    limit.admit(["10.0.0.1"])  # connects, and brings the script
    addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.1"]
    seen: list[Headers | None] = []
    sent = commands_during(queue.url, lambda: seen.extend(limit.admit(addresses)))
    assert [command.split()[0] for command in sent] == ["EVALSHA", "EVALSHA"]
    assert remaining(seen) == [7, 8, 6, 5]


def test_of_a_round_over_the_limit_those_that_fit_are_admitted_and_the_others_not_counted(
    make_app: MakeApp, queue: QueueProcess
) -> None:
    app = make_app(REDIS_URL=queue.url, RATE_LIMIT_REQUESTS="5")
    limit = limit_of(app)
    assert remaining(limit.admit([ADDRESS] * 3)) == [4, 3, 2]
    assert remaining(limit.admit([ADDRESS] * 4)) == [1, 0, None, None]
    assert remaining(limit.admit([ADDRESS])) == [None]
    with Redis.from_url(queue.url) as redis:
        assert [int(redis.get(key)) for key in redis.keys("*")] == [5]


def test_headers_and_budget_are_those_of_the_framework(
    make_app: MakeApp, queue: QueueProcess
) -> None:
    app = make_app(REDIS_URL=queue.url, RATE_LIMIT_REQUESTS="9")
    limit_of(app).admit(["127.0.0.1"])  # the window begins
    inline = dict(limit_of(app).admit(["127.0.0.1"])[0] or ())
    answer = app.test_client().get("/models")
    by_framework = [(k, v) for k, v in answer.headers.items() if "RateLimit" in k]
    assert list(inline) == [name for name, _ in by_framework]
    assert inline["X-RateLimit-Limit"] == dict(by_framework)["X-RateLimit-Limit"] == "9"
    assert (inline["X-RateLimit-Remaining"], dict(by_framework)["X-RateLimit-Remaining"]) == (
        "7",
        "6",
    )
    assert inline["RateLimit-Policy"] == dict(by_framework)["RateLimit-Policy"]
    ends = int(inline["X-RateLimit-Reset"]), int(dict(by_framework)["X-RateLimit-Reset"])
    assert (ends[1] - ends[0]) % 60 <= 1, "a window that has just begun may be said to end"


def test_what_was_counted_before_it_came_to_the_framework_is_not_counted_again(
    make_app: MakeApp, queue: QueueProcess
) -> None:
    app = make_app(REDIS_URL=queue.url, RATE_LIMIT_REQUESTS="9")
    (counted,) = limit_of(app).admit(["127.0.0.1"])
    token = limits.counted_headers.set(counted)
    try:
        answer = app.test_client().get("/predict?symbol=AAPL")
    finally:
        limits.counted_headers.reset(token)
    assert counted is not None
    assert dict(counted).items() <= dict(answer.headers).items()
    assert remaining(limit_of(app).admit(["127.0.0.1"])) == [7]


def test_a_queue_server_that_hangs_costs_the_polling_thread_one_short_wait(
    make_app: MakeApp,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        limit = limit_of(make_app(REDIS_URL=f"redis://127.0.0.1:{port}/0", RATE_LIMIT_REQUESTS="9"))
        waits = []
        for _ in range(3):
            started = time.monotonic()
            assert limit.admit([ADDRESS, ADDRESS]) == [None, None]
            waits.append(time.monotonic() - started)
    assert waits[0] < patience(0.5)
    assert max(waits[1:]) < patience(0.05), "the framework counts by itself for a while"


def test_without_a_queue_server_the_framework_counts(make_app: MakeApp) -> None:
    assert limit_of(make_app(RATE_LIMIT_REQUESTS="9")).admit([ADDRESS]) == [None]


@pytest.mark.parametrize(("hops", "address"), [(0, "192.0.2.7"), (1, "10.0.0.3"), (2, "10.0.0.2")])
def test_the_address_is_the_one_that_trusted_proxies_name(
    platform: Platform, hops: int, address: str
) -> None:
    inline = FastPathPredictor(platform, Config(), FastPathRoutes(("/predict",), None, hops))
    forwarded = ("X-Forwarded-For: 10.0.0.1, 10.0.0.2", "x-forwarded-for: 10.0.0.3")
    pending = inline.try_answer(raw("GET /predict?symbol=AAA HTTP/1.1", *forwarded), (ADDRESS, 1))
    assert pending is not None
    assert pending.client.address == address


def test_who_is_over_the_limit_is_left_to_the_framework_and_the_others_are_answered(
    tmp_path: Path, platform: Platform, queue: QueueProcess
) -> None:
    app = create_app(settings(tmp_path, REDIS_URL=queue.url, RATE_LIMIT_REQUESTS="2"), platform)
    inline = FastPathPredictor(platform, Config(), routes(app))
    pending = [inline.try_answer(raw(), (ADDRESS, 1)) for _ in range(4)]
    before = len(platform.audit.recent(limit=100).rows)
    responses = inline.respond([each for each in pending if each])
    assert [response is None for response in responses] == [False, False, True, True]
    assert len(platform.audit.recent(limit=100).rows) == before + 2, "none that is not answered"


def test_an_answer_that_can_not_be_audited_at_once_is_counted_once(
    tmp_path: Path, platform: Platform, queue: QueueProcess
) -> None:
    limited = {"REDIS_URL": queue.url, "RATE_LIMIT_REQUESTS": "1000", "WEB_WORKERS": "1"}
    with (
        serving(tmp_path, ready=PATH, MARKET_DATA_CACHE_SECONDS="60", **limited) as server,
        line_to(server.port) as line,
    ):
        before = _left(line.ask(raw())[0])
        with _locked(tmp_path / "artifacts" / "audit.db"):
            line.socket.sendall(raw())
            time.sleep(0.3)
        assert _left(line.answer()[0]) == before - 1
        assert _left(line.ask(raw())[0]) == before - 2


def _left(head: list[str]) -> int:
    return next(int(each.split(": ")[1]) for each in head if "X-RateLimit-Remaining" in each)


@pytest.mark.parametrize("kept", [True, pytest.param(False, marks=pytest.mark.soak)])
@pytest.mark.usefixtures("platform")
def test_two_workers_let_the_limit_pass_and_not_two_more(
    tmp_path: Path, queue: QueueProcess, kept: bool
) -> None:
    limit = 300
    changed = {"RATE_LIMIT_REQUESTS": str(limit), "RATE_LIMIT_WINDOW_SECONDS": "3600"}
    with serving(tmp_path, ready=PATH, REDIS_URL=queue.url, **changed) as server:
        for _ in range(10):
            alone = _counted_alone(tmp_path)
            with Redis.from_url(queue.url) as redis:
                redis.flushall()
            statuses = _burst(server.port, 480, kept=kept)
            if _counted_alone(tmp_path) == alone:
                break  # else the queue server was too slow, and workers have counted by themselves
    assert limit <= statuses.count(200) <= limit + 1
    assert set(statuses) == {200, 429}


def _counted_alone(folder: Path) -> float:
    """How many requests the workers have counted by themselves."""
    counts = CounterFolder(counters_folder(settings(folder))).totals()
    return sum(values[0] for key, values in counts.items() if key[0] == LIMITER_FALLBACKS.name)


@pytest.mark.soak
@pytest.mark.usefixtures("platform")
def test_bursts_across_window_edges_are_all_counted(tmp_path: Path, queue: QueueProcess) -> None:
    """However the windows lie, whoever passed stands in a counter, and none holds more than N."""
    limit = 100
    changed = {"RATE_LIMIT_REQUESTS": str(limit), "RATE_LIMIT_WINDOW_SECONDS": "1"}
    with serving(tmp_path, ready="/health", REDIS_URL=queue.url, **changed) as server:
        redis = Redis.from_url(queue.url)
        redis.flushall()
        begun, counts = time.monotonic(), []
        while time.monotonic() < begun + 3.5:
            statuses = _burst(server.port, 160, kept=len(counts) % 2 == 0)
            counts.append(statuses.count(200))
            assert set(statuses) <= {200, 429}
            assert all(int(redis.get(key) or 0) <= limit for key in redis.keys("*"))
        windows = time.monotonic() - begun + 1
    assert counts[0] >= limit
    assert sum(counts) <= (limit + 1) * (windows + 1)


def _burst(port: int, count: int, *, kept: bool) -> list[int]:
    """Statuses of `count` requests from eight threads, on kept or on new connections."""
    statuses: list[int] = []

    def ask() -> None:
        asker = Asker(port)
        for _ in range(count // 8):
            statuses.append(asker.ask(PATH).status)
            if not kept:
                asker.close()
        asker.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses
