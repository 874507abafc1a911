from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from limits import RateLimitItemPerHour
from limits.errors import ConfigurationError
from limits.storage import RedisStorage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from tests.queue_process import QueueProcess, commands_during

from mlengine.stores.queue.fallback_rate_limit_storage import FallbackRateLimitStorage
from mlengine.stores.queue.rate_counts import RateCounts, rate_counts_uri
from mlengine.stores.queue.server import to_limits_uri

LIMIT, EXPIRY = 10, 60


@pytest.fixture(scope="module")
def server() -> Iterator[QueueProcess]:
    with QueueProcess() as process:
        yield process


@pytest.fixture
def client(server: QueueProcess) -> Redis:
    client = Redis.from_url(server.url)
    client.flushall()
    return client


@pytest.fixture
def counts(server: QueueProcess, client: Redis) -> RateCounts:
    return made(server)


def made(server: QueueProcess) -> RateCounts:
    url = rate_counts_uri(to_limits_uri(server.url))
    storage = storage_from_string(url, retry=Retry(NoBackoff(), 1))
    assert isinstance(storage, RateCounts)
    return storage


def in_a_thread(work: Callable[[], object]) -> object:
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    thread.join()
    return answers[0]


# What stands in the two counters and the milliseconds that each has left.
STATES = {
    "nobody came": (None, None),
    "the first window fills": (None, (3, 90_000)),
    "the first window is full": (None, (LIMIT, 90_000)),
    "both windows weigh": ((8, 33_000), (4, 90_000)),
    "both windows weigh just too much": ((8, 45_500), (4, 105_500)),
    "only the previous window": ((9, 20_000), None),
    "the previous window alone is too much": ((90, 20_000), None),
    "the current window becomes the previous": ((5, 100), (7, 50_000)),
    "a full window becomes the previous": (None, (LIMIT, 59_000)),
    "a counter without an end": ((3, None), (4, None)),
}


@pytest.mark.parametrize("amount", [1, 3, LIMIT + 1])
@pytest.mark.parametrize("state", STATES)
def test_it_counts_and_answers_as_the_storage_of_limits_does_by_two_commands(
    counts: RateCounts, client: Redis, server: QueueProcess, state: str, amount: int
) -> None:
    theirs = RedisStorage(to_limits_uri(server.url))
    for key in ("ours", "theirs"):
        for name, counter in zip((f"{{{key}}}/-1", f"{{{key}}}"), STATES[state], strict=True):
            if counter is not None:
                client.set(f"LIMITS:{name}", counter[0], px=counter[1])
    answers = []
    for key, storage in (("ours", counts), ("theirs", theirs)):
        acquired = storage.acquire_sliding_window_entry(key, LIMIT, EXPIRY, amount)
        answers.append((acquired, storage.get_sliding_window(key, EXPIRY)))
    ours, expected = answers
    assert ours[0] is expected[0]
    assert ours[1] == pytest.approx(expected[1], abs=0.5)
    assert (ours[1][0], ours[1][2]) == (expected[1][0], expected[1][2])
    afterwards = theirs.get_sliding_window("ours", EXPIRY)
    assert (afterwards[0], afterwards[2]) == (expected[1][0], expected[1][2])


def test_counting_and_then_asking_is_one_command(counts: RateCounts, server: QueueProcess) -> None:
    counts.acquire_sliding_window_entry("k", LIMIT, EXPIRY)  # connects, and brings the script

    def ask() -> None:
        assert counts.acquire_sliding_window_entry("k", LIMIT, EXPIRY)
        assert counts.get_sliding_window("k", EXPIRY)[2] == 2

    assert [command.split()[0] for command in commands_during(server.url, ask)] == ["EVALSHA"]


def test_what_was_kept_is_given_out_once_and_for_its_own_question_only(
    counts: RateCounts, server: QueueProcess
) -> None:
    another = made(server)
    counts.acquire_sliding_window_entry("k", LIMIT, EXPIRY)
    another.acquire_sliding_window_entry("k", LIMIT, EXPIRY)
    assert counts.get_sliding_window("k", EXPIRY)[2] == 1
    assert counts.get_sliding_window("k", EXPIRY)[2] == 2
    counts.acquire_sliding_window_entry("k", LIMIT, EXPIRY)
    assert counts.get_sliding_window("other", EXPIRY)[2] == 0
    another.acquire_sliding_window_entry("k", LIMIT, EXPIRY)
    assert counts.get_sliding_window("k", EXPIRY)[2] == 4


def test_a_thread_gets_nothing_that_was_kept_for_another(counts: RateCounts) -> None:
    counts.acquire_sliding_window_entry("k", LIMIT, EXPIRY)
    in_a_thread(lambda: counts.acquire_sliding_window_entry("k", LIMIT, EXPIRY))
    seen = in_a_thread(lambda: counts.get_sliding_window("k", EXPIRY)[2])
    assert (seen, counts.get_sliding_window("k", EXPIRY)[2]) == (2, 1)


def test_many_threads_at_once_admit_as_many_as_the_limit_says(counts: RateCounts) -> None:
    admitted: list[int] = []

    def ask() -> None:
        while counts.acquire_sliding_window_entry("k", LIMIT, EXPIRY):
            admitted.append(counts.get_sliding_window("k", EXPIRY)[2])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(admitted) == list(range(1, LIMIT + 1)), "each saw the count that it made"


def test_a_failure_leaves_nothing_of_an_earlier_answer() -> None:
    with QueueProcess() as server:
        counts = made(server)
        counts.acquire_sliding_window_entry("k", LIMIT, EXPIRY)
        server.stop()
        with pytest.raises(RedisError):
            counts.acquire_sliding_window_entry("k", LIMIT, EXPIRY)
        server.start()
        Redis.from_url(server.url).flushall()
        assert counts.get_sliding_window("k", EXPIRY) == (0, 0.0, 0, 0.0)


def test_a_connection_ends_with_its_thread() -> None:
    """On a server of its own, which nobody else connects to."""
    with QueueProcess() as server, Redis.from_url(server.url) as client:
        counts = made(server)
        client.script_flush()  # the first one meets an error, which must not keep its connection
        counts.storage.ping()
        before = len(client.client_list())
        for _ in range(20):
            in_a_thread(lambda: counts.acquire_sliding_window_entry("k", LIMIT, EXPIRY))
        until = time.monotonic() + 10
        while len(client.client_list()) > before and time.monotonic() < until:
            time.sleep(0.01)
        assert len(client.client_list()) <= before


def test_a_server_that_was_started_again_is_asked_again() -> None:
    with QueueProcess() as server:
        counts = made(server)
        assert counts.acquire_sliding_window_entry("k", LIMIT, EXPIRY)
        server.stop()
        server.start()
        assert counts.acquire_sliding_window_entry("k", LIMIT, EXPIRY)
        Redis.from_url(server.url).script_flush()
        assert counts.acquire_sliding_window_entry("k", LIMIT, EXPIRY)


def test_only_the_addresses_of_a_redis_are_taken() -> None:
    with pytest.raises(ConfigurationError):
        storage_from_string(rate_counts_uri("memory://"))


def test_threads_that_count_at_once_while_the_server_is_silent_all_may() -> None:
    window = SlidingWindowCounterRateLimiter(
        FallbackRateLimitStorage("steady-redis://127.0.0.1:1/0")
    )
    at_once, usual = threading.Barrier(8), sys.getswitchinterval()

    def hit(_: int) -> bool:
        at_once.wait(30)
        return window.hit(RateLimitItemPerHour(1_000), "client")

    try:
        sys.setswitchinterval(1e-6)
        with ThreadPoolExecutor(8) as threads:
            for _ in range(40):
                assert all(threads.map(hit, range(8)))
                while any(isinstance(each, threading.Timer) for each in threading.enumerate()):
                    time.sleep(0.001)
    finally:
        sys.setswitchinterval(usual)
