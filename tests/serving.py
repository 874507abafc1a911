"""The real server on a platform in a folder: gunicorn as configured, and clients that ask it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.patience import eventually
from tests.supervised import alive, free_port

from mlengine import config

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Answer:
    """`begun` and `ended` are of the monotonic clock; status 0 is an answer that never came."""

    status: int
    body: Mapping[str, Any]
    begun: float
    ended: float


class Asker:
    """One connection; one that the server closed between two requests is opened again."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, path: str, *, method: str = "GET") -> Answer:
        begun = time.monotonic()
        status, body = 0, b"{}"
        with suppress(OSError, http.client.HTTPException):
            status, body = self._exchange(method, path)
        return Answer(status, json.loads(body), begun, time.monotonic())

    def _exchange(self, method: str, path: str) -> tuple[int, bytes]:
        reused = self._connection.sock is not None
        try:
            self._connection.request(method, path)
            answer = self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            self._connection.close()
            if not reused:
                raise
            self._connection.request(method, path)
            answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        self._connection.close()


@dataclass
class Load:
    """What came back so far, of all askers together."""

    answers: list[Answer] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def failed(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status != 200]


@contextmanager
def load(port: int, paths: list[str], *, askers: int, method: str = "GET") -> Iterator[Load]:
    """Ask for the paths by turns until the block ends; then every answer has come."""
    traffic = Load()

    def run(number: int) -> None:
        asker = Asker(port)
        # Some hundred a second: more would only keep the server's new processes from starting.
        while not traffic.over.wait(0.03):
            number += 1
            traffic.answers.append(asker.ask(paths[number % len(paths)], method=method))
        asker.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(askers)]
    for thread in threads:
        thread.start()
    try:
        yield traffic
    finally:
        traffic.over.set()
        for thread in threads:
            thread.join()


@dataclass(frozen=True)
class Server:
    port: int
    master: subprocess.Popen[bytes]

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.master.pid}/task/{self.master.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def kill(self) -> None:
        """Master and workers at once, as when the machine is out of memory."""
        for pid in (self.master.pid, *self.workers()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.master.wait()

    def ask(self, path: str, *, method: str = "GET") -> Answer:
        asker = Asker(self.port)
        try:
            return asker.ask(path, method=method)
        finally:
            asker.close()


@contextmanager
def serving(folder: Path, *arguments: str, ready: str, **environ: str) -> Iterator[Server]:
    """Two workers over the platform that `make_platform` left in `folder`, once `ready` is 200."""
    settings = {
        "ENV": "development",
        "ARTIFACTS_DIR": str(folder / "artifacts"),
        "MARKET_DATA_DIR": str(folder / "bars"),
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "RATE_LIMIT_REQUESTS": "0",
        "LOG_LEVEL": "ERROR",
        "FLASK_SKIP_DOTENV": "1",
        "POLARS_MAX_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    server = Server(
        port := free_port(), _gunicorn({**settings, **environ, "PORT": str(port)}, arguments)
    )
    try:
        assert eventually(lambda: server.ask(ready).status == 200, seconds=60)
        yield server
    finally:
        if server.master.poll() is None:
            server.master.terminate()
        workers = server.workers() if alive(server.master.pid) else []
        server.master.wait()
        assert eventually(lambda: not any(alive(pid) for pid in workers))


def lasts(seconds: float, holds: Callable[[], bool] = lambda: False) -> None:
    """Wait that long, or until `holds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not holds():
        time.sleep(0.05)


def _gunicorn(environ: Mapping[str, str], arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", *arguments, "wsgi:app"],
        cwd=ROOT,
        env=config.environment_for_child(environ),
    )
