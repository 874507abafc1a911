"""A service that means harm costs its own questions, to their deadline, and nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from tests.factories import START, random_bars
from tests.hostile_upstream import BEHAVIOURS, LONG_BEHAVIOURS, hostile_upstream
from tests.patience import eventually
from tests.platforms import make_platform
from tests.serving import Answer, Asker, Server, serving
from tests.training_rig import say
from tests.upstream import Fault, LoopbackUpstream

from mlengine.errors import MlengineError
from mlengine.stores.market_data.http import HttpMarketData

pytestmark = pytest.mark.soak

DEADLINE_SECONDS = 4.0
QUESTIONS = 40
KNOWN = "/predict?symbol=KNOWN"


@contextmanager
def platform(folder: Path, **changed: str) -> Iterator[Server]:
    make_platform(folder).control.database.dispose()
    settings = {
        "MARKET_DATA_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
        "MARKET_DATA_TIMEOUT_SECONDS": "2",
        "RATE_LIMIT_REQUESTS": "1000000",
        "WEB_WORKERS": "1",
        **changed,
    }
    with (
        hostile_upstream() as url,
        serving(folder, ready=KNOWN, MARKET_DATA_BASE_URL=url, **settings) as running,
    ):
        for number in range(QUESTIONS):
            running.ask(f"/predict?symbol=WARM-{number}")
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(scope="module")
def unlimited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Over a service that gives all that it has in one answer."""
    folder = tmp_path_factory.mktemp("unlimited")
    shape = folder / "upstream.toml"
    shape.write_text('paging = "whole"\n')
    with platform(folder, MARKET_DATA_UPSTREAM_FILE=str(shape)) as running:
        yield running


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_it_costs_nobody_else(server: Server, behaviour: str) -> None:
    require_harmless(server, behaviour)


@pytest.mark.parametrize("behaviour", LONG_BEHAVIOURS)
def test_a_long_answer_costs_nobody_else(unlimited: Server, behaviour: str) -> None:
    require_harmless(unlimited, behaviour)


def require_harmless(server: Server, behaviour: str) -> None:
    fresh = iter(range(1_000_000))
    assert eventually(
        lambda: server.ask(f"/predict?symbol=GOOD-{behaviour}{next(fresh)}").status == 200,
        seconds=30,
    )
    (worker,) = server.workers()
    _forget_peak(worker)
    before = _memory(worker, "VmRSS")
    with _questions(server, behaviour) as answers:
        times = _others(server)
    growth = (_memory(worker, "VmHWM") - before) / 1_024
    slowest = max(answer.ended - answer.begun for answer in answers)
    say(
        f"{behaviour}: {sorted({answer.status for answer in answers})}, ended by {slowest:.2f} s, "
        f"+{growth:.0f} MB; others p50 {times[len(times) // 2] * 1e3:.1f} ms, "
        f"p99 {times[len(times) * 99 // 100] * 1e3:.0f} ms, slowest {times[-1] * 1e3:.0f} ms"
    )
    assert {answer.status for answer in answers} <= {502, 503}
    assert slowest < DEADLINE_SECONDS + 0.5
    assert growth < 50
    assert times[len(times) * 99 // 100] < 0.1


def _questions(server: Server, behaviour: str) -> _Questions:
    return _Questions(server, [f"/predict?symbol={behaviour}-{n}" for n in range(QUESTIONS)])


class _Questions:
    """Asked at once while the block runs, which ends with the last answer."""

    def __init__(self, server: Server, paths: list[str]) -> None:
        self._answers: list[Answer] = []
        self._threads = [
            threading.Thread(target=lambda path=path: self._answers.append(server.ask(path)))
            for path in paths
        ]

    def __enter__(self) -> list[Answer]:
        for thread in self._threads:
            thread.start()
        return self._answers

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()


def _others(server: Server) -> list[float]:
    """What `/health` and a known symbol take, on new and kept connections, for four seconds."""
    kept, times = Asker(server.port), []
    until = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < until:
        for path in ("/health", KNOWN):
            for answer in (server.ask(path), kept.ask(path)):
                assert answer.status == 200
                times.append(answer.ended - answer.begun)
        time.sleep(0.01)
    kept.close()
    return sorted(times)


def _forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _memory(pid: int, name: str) -> int:
    """In KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _date(seconds: float, form: str = "") -> str:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.strftime(form) if form else format_datetime(moment, usegmt=True)


# A date is of a whole second: what is told to come back in three is kept for over two.
FORMS = {
    "2": 2.0,
    " 2 ": 2.0,
    "+2": 2.0,
    "2.0": 2.0,
    "1.75": 1.75,
    "2s": 2.0,
    "2, 1": 2.0,
    "1, 2": 2.0,
    "1;2": 2.0,
    "0, 2": 2.0,
    "soon, 2": 2.0,
    "0": 0.05,
    "-1": 0.05,
    "soon": 0.05,
    "": 0.05,
    "Mon, 01 Jan 1990 00:00:00 GMT": 0.05,
    "{http}": 2.0,
    "{rfc850}": 2.0,
    "{asctime}": 2.0,
    "{iso}": 2.0,
    "1, {http}": 2.0,
}


@pytest.mark.parametrize(("form", "seconds"), FORMS.items())
def test_no_symbol_is_asked_for_earlier_than_allowed(
    form: str, seconds: float, tmp_path: Path
) -> None:
    told = tmp_path / "pause.json"
    dates = {
        "http": _date(3),
        "rfc850": _date(3, "%A, %d-%b-%y %H:%M:%S GMT"),
        "asctime": _date(3, "%a %b %d %H:%M:%S %Y"),
        "iso": _date(3, "%Y-%m-%dT%H:%M:%SZ"),
    }
    with LoopbackUpstream(random_bars(rows=30)) as upstream:
        upstream.fail(Fault(status=429, headers={"Retry-After": form.format(**dates)}))
        market = HttpMarketData(
            upstream.url,
            timeout_seconds=2,
            retry_attempts=2,
            retry_backoff_seconds=0.1,
            deadline_seconds=5,
            pause_file=told,
        )
        over = threading.Event()

        def ask(number: int) -> None:
            while not over.is_set():
                try:
                    market.candles(f"S{number}", "1d", start=START, end=START + timedelta(days=9))
                except MlengineError:
                    over.wait(0.01)

        threads = [threading.Thread(target=ask, args=[number]) for number in range(8)]
        threads[0].start()
        # Until the answer has come, nobody knows of it; a short pause is in no file.
        assert eventually(lambda: told.exists() or len(upstream.requests) > 1)
        for thread in threads[1:]:
            thread.start()
        assert eventually(lambda: len(upstream.requests) >= 9)
        over.set()
        for thread in threads:
            thread.join()
        earliest = min(request.at for request in upstream.requests[1:]) - upstream.requests[0].at
    say(f"Retry-After: {form!r}: {earliest:.2f} s")
    assert earliest >= seconds
