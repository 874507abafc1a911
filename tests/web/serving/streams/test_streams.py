"""A real gunicorn with a tiny application: streams of events on connections without a thread."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.databases import new_database, opened
from tests.patience import eventually, patience
from tests.processes import event_streams
from tests.supervised import free_port

from mlengine import config
from mlengine.stores.database.events import EventStore
from mlengine.stores.database.outbox import Outbox
from mlengine.web.serving.streams.places import MOST_STREAMS

ROOT = Path(__file__).parents[4]
NOW = datetime(2026, 1, 2, tzinfo=UTC)

_ID = re.compile(rb"^id: (\d+)$", re.MULTILINE)
_ESTABLISHED = b"\x01"


class Stream:
    """A client that follows the events; what came so far is read when it is asked for."""

    def __init__(self, port: int, *, last: int | None = None) -> None:
        self._line = socket.create_connection(("127.0.0.1", port), timeout=patience(20))
        headers = f"Last-Event-ID: {last}\r\n" if last is not None else ""
        self._line.sendall(f"GET /events HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        self.received = self._line.recv(65536)
        self.is_over = False
        self._ids: list[int] = []
        self._parsed = 0

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._line.close()

    def read(self) -> bytes:
        self._line.settimeout(0.01)
        try:
            data = self._line.recv(1_000_000)
            self.is_over |= not data
            self.received += data
        except TimeoutError:
            pass
        return self.received

    def ids(self) -> list[int]:
        for found in _ID.finditer(self.read(), self._parsed):
            self._ids.append(int(found[1]))
            self._parsed = found.end()
        return self._ids

    def is_open(self) -> bool:
        """As the system sees it, with nothing read."""
        return self._line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == _ESTABLISHED


def is_cut_off(stream: Stream) -> bool:
    try:
        stream.read()
    except ConnectionError:
        stream.is_over = True
    return stream.is_over


@dataclass
class Server:
    """One web worker over a database of its own."""

    port: int
    master: subprocess.Popen[bytes]
    events: EventStore
    outbox: Outbox

    def happen(self, kind: str = "trained", *, size: int = 1, times: int = 1) -> int:
        """Returns the number of the last message."""
        for _ in range(times):
            details = {"x": "x" * size}
            self.events.append(kind, at=NOW, version="v9", actor="ops", details=details)
        return self.outbox.newest_seq()

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience(20))
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving_streams(tmp_path_factory.mktemp("streams")) as server:
        yield server


@contextmanager
def serving_streams(folder: Path) -> Iterator[Server]:
    url = new_database(folder / "audit.db")
    environ = {
        "PORT": str(port := free_port()),
        "WEB_WORKERS": "1",
        "CLIENT_TIMEOUT_SECONDS": "1",
        "ARTIFACTS_DIR": str(folder),
        event_streams.URL: url,
    }
    argv = ["-m", "gunicorn", "-c", "gunicorn.conf.py", f"{event_streams.__name__}:app"]
    environment = config.environment_for_child(environ)
    master = subprocess.Popen([sys.executable, *argv], cwd=ROOT, env=environment)
    with opened(url) as engine:
        server = Server(port, master, EventStore(engine), Outbox(engine))
        try:
            assert eventually(server.answers, seconds=30)
            yield server
        finally:
            master.kill()
            master.wait()


def test_an_event_reaches_all_who_follow_and_those_who_come_back(server: Server) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(Stream(server.port)) for _ in range(40)]
        assert all(b"200 OK" in each.received for each in streams)
        assert server.answers(), "no thread is held"
        first = server.happen()
        late = stack.enter_context(Stream(server.port, last=first - 1))
        last = server.happen("bars_revised")
        assert eventually(lambda: all(each.ids() == [first, last] for each in [*streams, late]))
    with Stream(server.port, last=first) as back:
        assert eventually(lambda: back.ids() == [last])
    assert b"event: bars.revised\ndata: {" in streams[0].received


def test_no_more_streams_than_places_and_one_that_ends_leaves_its_own(server: Server) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(Stream(server.port)) for _ in range(MOST_STREAMS)]
        assert eventually(lambda: is_cut_off(stack.enter_context(Stream(server.port))))
        assert not any(is_cut_off(each) for each in streams)
        streams[0].close()
        last = server.happen()
        assert eventually(lambda: not is_cut_off(stack.enter_context(Stream(server.port))))
        assert eventually(lambda: streams[1].ids() == [last])


def test_who_does_not_read_is_cut_off_and_loses_nothing_when_it_is_back(server: Server) -> None:
    before = server.outbox.newest_seq()
    with Stream(server.port) as slow, Stream(server.port) as quick:
        last = server.happen(size=1_000_000, times=9)
        assert eventually(lambda: quick.ids()[-1:] == [last], seconds=20)
        assert eventually(lambda: not slow.is_open(), seconds=20)
        assert eventually(lambda: is_cut_off(slow))
        assert slow.ids() != [*range(before + 1, last + 1)]
    with Stream(server.port, last=before) as back:
        assert eventually(lambda: back.ids() == [*range(before + 1, last + 1)], seconds=20)


def test_the_streams_of_a_worker_that_ends_are_ended(tmp_path: Path) -> None:
    with serving_streams(tmp_path) as server:
        with Stream(server.port) as stream:
            server.master.terminate()
            assert eventually(lambda: is_cut_off(stream), seconds=30)
            assert stream.received.endswith(b"0\r\n\r\n")
        assert server.master.wait(patience(30)) == 0
