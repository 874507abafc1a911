"""The queue server is frozen and killed while the limit is on: every request gets an answer."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.patience import eventually
from tests.platforms import SYMBOLS, make_platform
from tests.queue_process import QueueProcess
from tests.serving import Load, load, serving

# Some are answered inline, others by the framework.
PATHS = [*(f"/predict?symbol={symbol}" for symbol in SYMBOLS), "/models", "/predict?symbol=NOPE"]


@contextmanager
def frozen(queue: QueueProcess) -> Iterator[None]:
    os.kill(queue.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(queue.pid, signal.SIGCONT)


def answered(traffic: Load, more: int) -> bool:
    count = len(traffic.answers)
    return eventually(lambda: len(traffic.answers) >= count + more, seconds=60)


def fail_often(folder: Path, times: int, **workers: str) -> Counter[int]:
    """Statuses of all answers to eight clients meanwhile."""
    make_platform(folder)
    limit = {"RATE_LIMIT_REQUESTS": "100000000", "MARKET_DATA_CACHE_SECONDS": "60"}
    with QueueProcess() as queue:
        environ = {**limit, **workers, "REDIS_URL": queue.url}
        with (
            serving(folder, ready=PATHS[0], **environ) as server,
            load(server.port, PATHS, askers=8) as traffic,
        ):
            for _ in range(times):
                assert answered(traffic, 40)
                with frozen(queue):
                    assert answered(traffic, 40)
                assert answered(traffic, 40)
                queue.stop()
                assert answered(traffic, 40)
                queue.start()
    return Counter(answer.status for answer in traffic.answers)


def test_a_frozen_and_a_killed_queue_server_fail_no_request(tmp_path: Path) -> None:
    assert set(fail_often(tmp_path, 2, WEB_WORKERS="1")) == {200, 404}


@pytest.mark.soak
def test_a_queue_server_frozen_and_killed_twenty_times_fails_no_request(tmp_path: Path) -> None:
    statuses = fail_often(tmp_path, 20)
    sys.stderr.write(f"\n{statuses}\n")
    assert set(statuses) == {200, 404}
