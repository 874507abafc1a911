"""Clients that mean harm: silent, one byte at a time, or never reading their answers."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

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
UNREAD = b"GET /features?symbol=AAA&limit=330 HTTP/1.1\r\n" + _HOST + b"\r\n"


class Attackers:
    """Connections to `port`; a slow one sends its next byte every `pause` seconds."""

    def __init__(self, port: int, pause: float) -> None:
        self._port, self._pause = port, pause
        self._open: dict[socket.socket, tuple[str, float]] = {}
        self._slow: list[tuple[socket.socket, bytes]] = []

    def silent(self, count: int) -> None:
        for _ in range(count):
            self._connect("silent", b"")

    def slow(self, count: int) -> None:
        kinds = list(SLOW.items())
        for number in range(count):
            kind, (begin, byte) = kinds[number % len(kinds)]
            self._slow.append((self._connect(kind, begin), byte))

    def unread(self, count: int) -> None:
        """Ask for more than the buffers on the way take, and read nothing."""
        for _ in range(count):
            self._connect("unread", UNREAD)

    def run(self) -> dict[str, list[float]]:
        """Go on until the server has closed each: after how many seconds, by kind."""
        dropped: dict[str, list[float]] = {}
        next_byte = time.monotonic() + self._pause
        while self._open:
            for connection, (kind, begun) in list(self._open.items()):
                if _is_closed(connection, reads=kind != "unread"):
                    dropped.setdefault(kind, []).append(time.monotonic() - begun)
                    del self._open[connection]
                    connection.close()
            if time.monotonic() >= next_byte:
                next_byte += self._pause
                self._send_a_byte_each()
            time.sleep(0.1)
        return dropped

    def _connect(self, kind: str, begin: bytes) -> socket.socket:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", self._port))
        connection.sendall(begin)
        connection.setblocking(False)
        self._open[connection] = kind, time.monotonic()
        return connection

    def _send_a_byte_each(self) -> None:
        for connection, byte in self._slow:
            with suppress(OSError):
                connection.send(byte)


def _is_closed(connection: socket.socket, *, reads: bool) -> bool:
    """By its state alone where nothing is read."""
    if not reads:
        established = 1
        return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != established
    try:
        return connection.recv(65536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@dataclass
class Attack:
    """What came of it: by kind, the seconds that each connection stood until it was closed."""

    process: subprocess.Popen[str]

    def dropped(self) -> dict[str, list[float]]:
        """Waits until all are."""
        assert self.process.stdout is not None
        seconds: dict[str, list[float]] = json.loads(self.process.stdout.readline())
        return seconds


@contextmanager
def attack(port: int, *, pause: float, silent: int, slow: int, unread: int) -> Iterator[Attack]:
    """So many of each kind, from a process of their own."""
    numbers = [str(each) for each in (port, pause, silent, slow, unread)]
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, *numbers], stdout=subprocess.PIPE, text=True
    )
    try:
        yield Attack(process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def main(port: str, pause: str, silent: str, slow: str, unread: str) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    os.nice(10)  # they come from other machines, as a rule
    attackers = Attackers(int(port), float(pause))
    attackers.slow(int(slow))
    attackers.unread(int(unread))
    attackers.silent(int(silent))
    sys.stdout.write(json.dumps(attackers.run()) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
