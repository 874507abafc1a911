from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from io import BytesIO

import pytest
from flask import Response
from flask.testing import FlaskClient
from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from tests.patience import patience
from tests.queue_process import QueueProcess, commands_during
from tests.web.conftest import MakeApp
from tests.web.http.test_errors import problem
from tests.web.platform import FakePlatform

from mlengine.errors import BadSetting
from mlengine.stores.queue.server import to_limits_uri
from mlengine.web.http.limits import wait_seconds

FIVE = {"RATE_LIMIT_REQUESTS": "5", "RATE_LIMIT_WINDOW_SECONDS": "3600"}


@pytest.fixture
def queue() -> Iterator[QueueProcess]:
    with QueueProcess() as running:
        yield running


def statuses(client: FlaskClient, count: int, path: str = "/models", **kwargs: object) -> list[int]:
    return [client.get(path, **kwargs).status_code for _ in range(count)]


def test_both_prefixes_share_one_budget(make_app: MakeApp) -> None:
    client = make_app(**FIVE).test_client()
    paths = ["/models", "/api/v1/models", "/features?symbol=AAPL", "/api/v1/predict?symbol=AAPL"]
    assert [client.get(path).status_code for path in paths] == [200] * 4
    assert client.get("/admin/train/status").status_code == 401
    for path in [*paths, "/admin/train/status", "/nope"]:
        answer = client.get(path)
        problem(answer, 429, "rate_limited")
        assert 1 <= int(answer.headers["Retry-After"]) <= 3600
        assert answer.headers["X-RateLimit-Limit"] == "5"
        assert answer.headers["X-RateLimit-Remaining"] == "0"


def test_each_request_counts_once(make_app: MakeApp) -> None:
    client = make_app(**FIVE).test_client()
    left = [int(client.get("/models").headers["X-RateLimit-Remaining"]) for _ in range(5)]
    assert left == [4, 3, 2, 1, 0]


def test_the_headers_of_the_draft_say_the_same_as_the_older_ones(make_app: MakeApp) -> None:
    client = make_app(**FIVE).test_client()
    for left in (4, 3, 2, 1, 0, 0):
        now = int(time.time())
        headers = client.get("/models").headers
        assert headers["RateLimit-Policy"] == '"default";q=5;w=3600'
        state = re.fullmatch(r'"default";r=(\d+);t=(\d+)', headers["RateLimit"])
        assert state is not None
        assert int(state[1]) == int(headers["X-RateLimit-Remaining"]) == left
        assert int(headers["X-RateLimit-Reset"]) - now - 2 <= int(state[2]) <= 3601
        assert int(state[2]) >= int(headers.get("Retry-After", 0))


def test_without_a_limit_nothing_is_said_of_one(make_app: MakeApp) -> None:
    for client, path in [
        (make_app(RATE_LIMIT_REQUESTS="0").test_client(), "/models"),
        (make_app(**FIVE).test_client(), "/health"),
    ]:
        assert "RateLimit" not in str(client.get(path).headers)


def test_a_prediction_counts_once_however_it_is_answered(make_app: MakeApp) -> None:
    client = make_app(**FIVE).test_client()
    asked = ["AAPL", "DOWN", "AAPL&explain=true", "NOPE"]
    answers = [client.get(f"/predict?symbol={symbol}") for symbol in asked]
    assert [int(each.headers["X-RateLimit-Remaining"]) for each in answers] == [4, 3, 2, 1]
    assert all(each.headers["X-RateLimit-Limit"] == "5" for each in answers)


def test_unknown_paths_wrong_methods_and_bad_input_count_too(make_app: MakeApp) -> None:
    client = make_app(**FIVE).test_client()
    for method, path in [("GET", "/x"), ("PUT", "/models"), ("GET", "/predict"), ("HEAD", "/y")]:
        client.open(path, method=method)
    assert statuses(client, 2) == [200, 429]


def test_a_body_that_is_too_large_counts_and_is_not_taken_in_beyond_the_limit(
    make_app: MakeApp,
) -> None:
    client = make_app(**FIVE).test_client()
    size = 2 * 1024 * 1024
    seen = []
    for _ in range(7):
        stream = BytesIO(b" " * size)
        answer = client.post(
            "/predict/batch",
            input_stream=stream,
            content_length=size,
            content_type="application/json",
        )
        seen.append((answer.status_code, stream.tell() > 0))
    assert seen == [(413, True)] * 5 + [(429, False)] * 2
    assert statuses(client, 1) == [429]


def test_health_and_ready_have_no_limit(make_app: MakeApp, tiny: FakePlatform) -> None:
    client = make_app(**FIVE).test_client()
    for path in ("/health", "/ready", "/api/v1/health", "/api/v1/ready"):
        assert statuses(client, 6, path) == [200] * 6
    assert "X-RateLimit-Limit" not in client.get("/health").headers
    assert statuses(client, 6) == [200] * 5 + [429]


def test_only_a_refusal_says_when_to_retry(make_app: MakeApp) -> None:
    client = make_app(**FIVE).test_client()
    assert "Retry-After" not in client.get("/models").headers
    assert client.get("/predict?symbol=DOWN").headers["Retry-After"] == "7"


def test_zero_is_no_limit(make_app: MakeApp) -> None:
    client = make_app(RATE_LIMIT_REQUESTS="0").test_client()
    assert statuses(client, 20) == [200] * 20


def test_whoever_waits_as_told_is_let_in(make_app: MakeApp) -> None:
    client = make_app(RATE_LIMIT_REQUESTS="2", RATE_LIMIT_WINDOW_SECONDS="1").test_client()
    while (answer := client.get("/models")).status_code == 200:
        pass
    time.sleep(int(answer.headers["Retry-After"]))
    assert client.get("/models").status_code == 200


@pytest.mark.parametrize(
    ("counts", "seconds"),
    [
        ((0, 0.0, 10, 100.0), 40.0),  # full: the window ends in 40 s
        ((10, 30.0, 10, 90.0), 30.0),  # full, whatever went before
        ((10, 30.0, 5, 90.0), 0.0),  # 5 of weight fall to 4.99 at once
        ((10, 48.0, 5, 90.0), 18.0),  # 8 of weight have to fall below 5
        ((0, 0.0, 3, 90.0), 0.0),
    ],
)
def test_the_wait_is_until_the_weighted_count_falls_below_the_limit(
    counts: tuple[int, float, int, float], seconds: float
) -> None:
    assert wait_seconds(*counts, limit=10, window_seconds=60) == seconds


def test_a_forwarded_address_is_believed_only_for_trusted_hops(make_app: MakeApp) -> None:
    client = make_app(**FIVE).test_client()
    spoofed = [
        client.get("/models", headers={"X-Forwarded-For": f"10.0.0.{i}"}).status_code
        for i in range(6)
    ]
    assert spoofed == [200] * 5 + [429]
    client = make_app(**FIVE, TRUSTED_PROXY_COUNT="1").test_client()
    for address in ("10.0.0.1", "10.0.0.2"):
        headers = {"X-Forwarded-For": f"6.6.6.6, {address}"}
        assert statuses(client, 6, headers=headers) == [200] * 5 + [429]


def test_workers_share_the_count_in_redis(
    make_app: MakeApp, tiny: FakePlatform, queue: QueueProcess
) -> None:
    workers = [make_app(**FIVE, REDIS_URL=queue.url).test_client() for _ in range(3)]
    assert [workers[i % 3].get("/models").status_code for i in range(6)] == [200] * 5 + [429]
    assert tiny.states.state("redis") == "ok"


def test_a_request_costs_one_command_and_its_headers_are_what_two_would_say(
    make_app: MakeApp, queue: QueueProcess
) -> None:
    client = make_app(**FIVE, REDIS_URL=queue.url).test_client()
    client.get("/models")  # connects, and brings the script
    for left in (3, 2, 1, 0):
        answers: list[Response] = []
        sent = commands_during(queue.url, lambda seen=answers: seen.append(client.get("/models")))
        assert [command.split()[0] for command in sent] == ["EVALSHA"]
        two_ways = SlidingWindowCounterRateLimiter(RedisStorage(to_limits_uri(queue.url)))
        asked_after = two_ways.get_window_stats(
            RateLimitItemPerSecond(5, 3600), "127.0.0.1", "global"
        )
        headers = answers[0].headers
        assert headers["X-RateLimit-Limit"] == "5"
        assert int(headers["X-RateLimit-Remaining"]) == asked_after.remaining == left
        assert float(headers["X-RateLimit-Reset"]) == pytest.approx(asked_after.reset_time, abs=2)


def test_a_request_without_a_limit_asks_the_server_nothing(
    make_app: MakeApp, queue: QueueProcess
) -> None:
    client = make_app(**FIVE, REDIS_URL=queue.url).test_client()
    client.get("/models")
    assert commands_during(queue.url, lambda: client.get("/health")) == []
    assert client.get("/models").headers["X-RateLimit-Remaining"] == "3"


def test_a_refusal_says_what_the_server_counts_then(make_app: MakeApp, queue: QueueProcess) -> None:
    client = make_app(**FIVE, REDIS_URL=queue.url).test_client()
    assert statuses(client, 5) == [200] * 5
    for _ in range(2):
        answer = client.get("/models")
        assert answer.status_code == 429
        assert answer.headers["X-RateLimit-Remaining"] == "0"
        assert 3500 < int(answer.headers["Retry-After"]) <= 3600


def test_the_embedded_server_is_found_by_its_artifacts_folder(
    make_app: MakeApp, tiny: FakePlatform, queue: QueueProcess
) -> None:
    client = make_app(**FIVE, ARTIFACTS_DIR=str(queue.artifacts)).test_client()
    assert statuses(client, 6) == [200] * 5 + [429]
    assert tiny.states.state("redis") == "ok"


def test_without_a_queue_server_each_worker_counts_for_itself(
    make_app: MakeApp, tiny: FakePlatform
) -> None:
    client = make_app(**FIVE).test_client()
    assert statuses(client, 6) == [200] * 5 + [429]
    assert tiny.states.state("redis") == "degraded"


def test_redis_going_down_costs_no_request_and_is_seen(
    make_app: MakeApp, tiny: FakePlatform, queue: QueueProcess
) -> None:
    client = make_app(**FIVE, REDIS_URL=queue.url).test_client()
    assert statuses(client, 2) == [200, 200]
    queue.stop()
    assert statuses(client, 6) == [200] * 5 + [429]
    assert tiny.states.state("redis") == "degraded"


def test_redis_coming_back_is_used_again(
    make_app: MakeApp, tiny: FakePlatform, queue: QueueProcess
) -> None:
    client = make_app(RATE_LIMIT_REQUESTS="1000", REDIS_URL=queue.url).test_client()
    queue.stop()
    assert statuses(client, 2) == [200, 200]
    queue.start()
    until = time.monotonic() + 10
    while tiny.states.state("redis") != "ok" and time.monotonic() < until:
        time.sleep(0.2)
        assert statuses(client, 1) == [200]
    assert tiny.states.state("redis") == "ok"


def test_redis_that_hangs_costs_one_short_wait(make_app: MakeApp, tiny: FakePlatform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        client = make_app(**FIVE, REDIS_URL=f"redis://127.0.0.1:{port}/0").test_client()
        started = time.monotonic()
        assert statuses(client, 6) == [200] * 5 + [429]
        assert time.monotonic() - started < patience(1.0)
    assert tiny.states.state("redis") == "degraded"


def test_requests_that_find_redis_hanging_at_the_same_time_are_all_answered(
    make_app: MakeApp,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        app = make_app(RATE_LIMIT_REQUESTS="100", REDIS_URL=f"redis://127.0.0.1:{port}/0")
        together, seen = threading.Barrier(8), list[int]()

        def ask() -> None:
            client = app.test_client()
            together.wait()
            seen.append(client.get("/models").status_code)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == [200] * 8


def test_an_address_that_is_no_redis_stops_the_start_in_one_line(make_app: MakeApp) -> None:
    for url in ("mysql://x", "redis://host:notaport/0"):
        with pytest.raises(BadSetting, match=r"^REDIS_URL="):
            make_app(**FIVE, REDIS_URL=url)


def test_threads_of_one_worker_share_the_count(make_app: MakeApp) -> None:
    app = make_app(**FIVE)
    seen: list[int] = []
    threads = [
        threading.Thread(target=lambda: seen.extend(statuses(app.test_client(), 5)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [200] * 5 + [429] * 15
