"""What who is told costs predictions: `python -m benchmarks.subscribers`.

The same two web workers answer `/predict` from memory at a calm rate, by turns: alone; with
monitoring brought up to date every two seconds; with five readers of `/events` and one webhook
besides, while ten events come a second. A round is short, since a busy machine changes; the figures
are the medians of all rounds.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.load import Client, Measured, by_threads, gets
from benchmarks.serving import head, row, say_where
from tests.hook_receiver import HookReceiver
from tests.patience import eventually
from tests.platforms import SYMBOLS, make_platform
from tests.processes import deliver_until_killed
from tests.serving import ROOT, Server, serving

from mlengine import config
from mlengine.services.hooks.service import HookService
from mlengine.stores.database.engine import open_database
from mlengine.stores.database.events import EventStore
from mlengine.stores.hooks.delivery_store import DeliveryStore
from mlengine.stores.hooks.hook_store import HookStore

PREDICT = [f"/predict?symbol={symbol}" for symbol in SYMBOLS]
READERS, EVENTS_A_SECOND, UPDATE_EVERY = 5, 10.0, 2.0
WAYS = ("alone", "monitoring updates", f"and {READERS} readers, one webhook")


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--seconds", type=float, default=5.0, help="of one round")
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--rate", type=float, default=100.0, help="predictions a second")
    asked.add_argument("--tell", nargs=2, metavar=("FOLDER", "PORT"), help="a process of its own")
    options = asked.parse_args()
    if options.tell:
        _tell(Path(options.tell[0]), int(options.tell[1]))
        return 0
    say_where()
    with tempfile.TemporaryDirectory(prefix="mlengine-bench-") as name:
        folder = Path(name)
        make_platform(folder)
        environ = {"MARKET_DATA_CACHE_SECONDS": "3600"}
        with serving(folder, ready=PREDICT[0], **environ) as server:
            _warm_up(server)
            found: dict[str, list[Measured]] = {way: [] for way in WAYS}
            told = [0, 0]
            for _ in range(options.rounds):
                for number, way in enumerate(WAYS):
                    with ExitStack() as running:
                        if number > 0:
                            running.enter_context(_updates(folder))
                        if number > 1:
                            running.enter_context(_told(folder, server, told))
                        measured = by_threads(
                            server.port,
                            gets(PREDICT),
                            connections=4,
                            seconds=options.seconds,
                            per_second=options.rate,
                        )
                    found[way].append(measured)
    head("/predict", "requests", "failed", "p50, ms", "p90, ms", "p99, ms")
    for way, rounds in found.items():
        middle = [statistics.median(getattr(r, f"p{q}_ms") for r in rounds) for q in (50, 90, 99)]
        counts = sum(r.requests for r in rounds), sum(r.failed for r in rounds)
        row(way, *counts, *(f"{each:.2f}" for each in middle))
    print(f"\nread by the {READERS} readers: {told[0]} events; delivered to the hook: {told[1]}")
    return 0


def _warm_up(server: Server) -> None:
    for _ in range(10):
        for path in PREDICT:
            Client(server.port).get(path)


def _environ(folder: Path) -> Mapping[str, str]:
    return config.environment_for_child(
        {"ARTIFACTS_DIR": str(folder / "artifacts"), "MARKET_DATA_DIR": str(folder / "bars")}
    )


@contextmanager
def _repeated(seconds: float, do: Callable[[], None]) -> Iterator[None]:
    """Call `do` again and again, so many seconds apart, until the block ends."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(seconds):
            do()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _updates(folder: Path) -> Iterator[None]:
    """In a process each time, as the worker does."""

    def update() -> None:
        subprocess.run(
            [sys.executable, "-m", "mlengine", "monitor", "update"],
            cwd=ROOT,
            env=_environ(folder),
            stdout=subprocess.DEVNULL,
            check=False,
        )

    with _repeated(UPDATE_EVERY, update):
        yield


@contextmanager
def _told(folder: Path, server: Server, told: list[int]) -> Iterator[None]:
    """Apart from the load, whose clock would wait for the readers' threads."""
    telling = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.subscribers", "--tell", str(folder), str(server.port)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert telling.stdout is not None
    telling.stdout.readline()
    try:
        yield
    finally:
        said, _ = telling.communicate()
        told[:] = [sum(each) for each in zip(told, map(int, said.split()), strict=True)]


def _tell(folder: Path, port: int) -> None:
    """Readers, a hook with what delivers to it, and events, until the input ends.

    Then it prints how many events were read, and how many deliveries came.
    """
    url = f"sqlite:///{folder / 'artifacts' / 'audit.db'}"
    engine = open_database(url)
    events, now = EventStore(engine), datetime.now(UTC)
    service = HookService(HookStore(engine), DeliveryStore(engine), allow_private=True)

    def append() -> None:
        events.append("trained", at=datetime.now(UTC), version="v1", actor="b", details={})

    with HookReceiver() as receiver, ExitStack() as readers:
        streams = [readers.enter_context(_Reader(port)) for _ in range(READERS)]
        hook = service.add(
            receiver.url,
            ["model.trained"],
            hook_id=f"hook_{now.timestamp():.0f}",
            secret=b"1" * 32,
            actor="bench",
            now=now,
        )
        delivering = subprocess.Popen(
            [sys.executable, "-m", deliver_until_killed.__name__, url, now.isoformat(), "1"],
            cwd=ROOT,
        )
        append()
        assert eventually(lambda: receiver.received, seconds=60), "nothing is delivered"
        with _repeated(1.0 / EVENTS_A_SECOND, append):
            print(flush=True)
            sys.stdin.read()
        delivering.kill()
        delivering.wait()
        service.remove(hook.id, actor="bench", now=datetime.now(UTC))
        print(sum(stream.events for stream in streams), len(receiver.received))
    engine.dispose()


class _Reader:
    """Follows `/events` and counts what comes."""

    def __init__(self, port: int) -> None:
        self.events = 0
        self._line = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> _Reader:
        self._line.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._line.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._line.close()

    def _run(self) -> None:
        while chunk := self._line.recv(1 << 16):
            self.events += chunk.count(b"\nid: ") + chunk.startswith(b"id: ")


if __name__ == "__main__":
    sys.exit(main())
