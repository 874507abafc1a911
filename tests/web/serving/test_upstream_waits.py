"""Questions that hang at the upstream keep nobody else waiting, and one call answers many."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.factories import random_bars
from tests.patience import patience
from tests.platforms import make_platform
from tests.serving import Answer, Asker, Server, serving
from tests.upstream import Fault, LoopbackUpstream

COLD = 40
ROWS = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("platform")
    make_platform(folder).control.database.dispose()
    return folder


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    symbols = ["KNOWN", "ONCE", *(f"C{number:02d}" for number in range(COLD))]
    bars = [random_bars(s, rows=ROWS, start=today - ROWS * timedelta(days=1)) for s in symbols]
    with LoopbackUpstream(pl.concat(bars)) as running:
        yield running


def server(folder: Path, upstream: LoopbackUpstream, **environ: str):
    settings = {
        "MARKET_DATA_BASE_URL": upstream.url,
        "RATE_LIMIT_REQUESTS": "100000",
        "WEB_WORKERS": "1",
        "AUDIT_DATABASE_URL": f"sqlite:///{folder}/artifacts/audit.db",
        **environ,
    }
    return serving(folder, ready="/predict?symbol=KNOWN", **settings)


def ask_at_once(running: Server, paths: list[str]) -> tuple[list[threading.Thread], list[Answer]]:
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda path=path: answers.append(running.ask(path)))
        for path in paths
    ]
    for thread in threads:
        thread.start()
    return threads, answers


def took(running: Server, seconds: float) -> list[float]:
    """What `/health` and a known symbol take, on new and kept connections, the slowest last."""
    kept, times = Asker(running.port), []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for path in ("/health", "/predict?symbol=KNOWN"):
            for answer in (running.ask(path), kept.ask(path)):
                assert answer.status == 200
                times.append(answer.ended - answer.begun)
        time.sleep(0.02)
    kept.close()
    return sorted(times)


def test_questions_that_hang_keep_nobody_else_waiting(folder, upstream):
    with server(folder, upstream, MARKET_DATA_DEADLINE_SECONDS="3") as running:
        upstream.always = Fault(delay_seconds=patience(6))
        threads, answers = ask_at_once(running, [f"/predict?symbol=C{n:02d}" for n in range(COLD)])
        times = took(running, 2.0)
        for thread in threads:
            thread.join()
        # What is slower than that, the machine is busy for.
        assert times[len(times) * 9 // 10] < patience(0.1)
        assert times[-1] < patience(1)
        assert {answer.status for answer in answers} == {503}
        assert max(answer.ended - answer.begun for answer in answers) < 3 + patience(1.5)


def test_one_call_answers_all_who_ask_for_a_cold_symbol(folder, upstream):
    with server(folder, upstream, WEB_WORKERS="2") as running:
        upstream.always, asked = Fault(delay_seconds=0.5), len(upstream.requests)
        threads, answers = ask_at_once(running, ["/predict?symbol=ONCE"] * COLD)
        for thread in threads:
            thread.join()
        assert [answer.status for answer in answers] == [200] * COLD
        assert len(upstream.requests) - asked == 1
        upstream.always = Fault(status=429, headers={"Retry-After": "1000000000"})
        for number in range(1, 21):
            assert running.ask(f"/predict?symbol=C{number:02d}").status == 503
        assert len(upstream.requests) - asked == 2
