"""Clients that mean harm: silent, one byte at a time, or never reading their answers."""

from __future__ import annotations

import resource
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_HOST = b"Host: localhost\r\n"
_POST = b"POST /predict/batch HTTP/1.1\r\n" + _HOST + b"Content-Type: application/json\r\n"

# What has been sent when the byte-by-byte part begins, and the byte that goes on for ever.
SLOW = {
    "line": (b"GET /predict?symbol=", b"A"),
    "header": (b"GET /health HTTP/1.1\r\n" + _HOST + b"X-Slow: ", b"a"),
    "headers": (b"GET /health HTTP/1.1\r\n" + _HOST, b"a:1\r\n"),
    "body": (_POST + b"Content-Length: 1000\r\n\r\n", b" "),
    "chunks": (_POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "chunk size": (_POST + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
}
UNREAD = b"GET /features?symbol=AAA&limit=300 HTTP/1.1\r\n" + _HOST + b"\r\n"


class Attackers:
    """Connections to `port`; `dropped` has, by kind, how long each stood until it was closed.

    A slow one sends its next byte every `pause` seconds.
    """

    def __init__(self, port: int, pause: float) -> None:
        self._port, self._pause = port, pause
        self._selector = selectors.DefaultSelector()
        self._slow: list[tuple[socket.socket, bytes]] = []
        self._all: list[socket.socket] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.dropped: dict[str, list[float]] = {}

    def silent(self, count: int) -> None:
        for _ in range(count):
            self._open("silent", b"")

    def slow(self, count: int) -> None:
        kinds = list(SLOW.items())
        for number in range(count):
            kind, (begin, byte) = kinds[number % len(kinds)]
            self._slow.append((self._open(kind, begin), byte))

    def unread(self, count: int) -> None:
        """Ask for more than any buffer on the way takes, and read nothing."""
        for _ in range(count):
            self._open("unread", UNREAD * 10)

    def all_dropped(self) -> bool:
        return sum(map(len, self.dropped.values())) == len(self._all)

    def _open(self, kind: str, begin: bytes) -> socket.socket:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", self._port))
        connection.sendall(begin)
        connection.setblocking(False)
        events = 0 if kind == "unread" else selectors.EVENT_READ
        self._all.append(connection)
        self._selector.register(
            connection, events or selectors.EVENT_WRITE, (kind, time.monotonic())
        )
        return connection

    def _run(self) -> None:
        next_byte = time.monotonic()
        while not self._over.wait(0.02):
            for key, _ in self._selector.select(0):
                self._look(key.fileobj, *key.data)
            if time.monotonic() >= next_byte:
                next_byte += self._pause
                for connection, byte in self._slow:
                    with suppress(OSError):
                        connection.send(byte)

    def _look(self, connection: socket.socket, kind: str, begun: float) -> None:
        """Nothing is read of those that read nothing: the server's reset is an error of theirs."""
        if kind == "unread":
            state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            gone = state not in (1, 2)
        else:
            gone = _is_closed(connection)
        if gone:
            self.dropped.setdefault(kind, []).append(time.monotonic() - begun)
            self._selector.unregister(connection)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._selector.close()
        for connection in self._all:
            connection.close()


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(65536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@contextmanager
def attackers(port: int, *, pause: float) -> Iterator[Attackers]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    attack = Attackers(port, pause)
    attack.start()
    try:
        yield attack
    finally:
        attack.stop()
