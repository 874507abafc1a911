"""Load on a server on loopback: wrk where it is installed, else one thread that polls sockets."""

from __future__ import annotations

import re
import selectors
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle, islice

GENERATOR = "wrk" if shutil.which("wrk") else "one Python thread that polls"
_ROTATE = """
local requests = {%s}
local i = 0
local headers = {["Content-Type"] = "application/json"}
request = function()
  i = i %% #requests + 1
  local r = requests[i]
  if r[1] == "GET" then return wrk.format("GET", r[2]) end
  return wrk.format(r[1], r[2], headers, r[3])
end
"""

Request = tuple[str, str, bytes]


@dataclass
class Measured:
    """Requests that were answered, those that failed, and quantiles in milliseconds."""

    requests: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float
    p90_ms: float = float("nan")

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


@dataclass
class Client:
    """One connection, opened again when the server closes it; `send` gives status and body."""

    port: int
    line: socket.socket | None = None
    rest: bytes = b""

    def get(self, path: str) -> tuple[int, bytes]:
        return self.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return self.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def send(self, raw: bytes) -> tuple[int, bytes]:
        """Sent once more only if a kept connection was closed before anything was answered."""
        fresh = self.line is None
        try:
            return self._once(raw)
        except (ConnectionError, EOFError):
            self.close()
            if fresh:
                raise
            return self._once(raw)

    def _once(self, raw: bytes) -> tuple[int, bytes]:
        if self.line is None:
            self.line = socket.create_connection(("127.0.0.1", self.port), timeout=30)
            self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.line.sendall(raw)
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])  # type: ignore[index]
        while len(self.rest) < length:
            self._more()
        body, self.rest = self.rest[:length], self.rest[length:]
        if re.search(rb"(?i)connection: *close", head):
            self.close()
        return int(head.split(b" ", 2)[1]), body

    def _more(self) -> None:
        assert self.line is not None
        chunk = self.line.recv(1 << 20)
        if not chunk:
            raise EOFError
        self.rest += chunk

    def close(self) -> None:
        if self.line is not None:
            self.line.close()
        self.line, self.rest = None, b""


def gets(paths: Sequence[str]) -> list[Request]:
    return [("GET", path, b"") for path in paths]


def rotate(port: int, requests: Sequence[Request], *, connections: int, seconds: float) -> Measured:
    """(method, path, body) one after another, as fast as they are answered."""
    ask = _wrk if GENERATOR == "wrk" else _by_polling
    return ask(port, requests, connections=connections, seconds=seconds)


@dataclass
class _Tally:
    took: list[float] = field(default_factory=list)
    failed: int = 0


def by_threads(
    port: int,
    requests: Sequence[Request],
    *,
    connections: int,
    seconds: float,
    per_second: float | None = None,
) -> Measured:
    """(method, path, body) one after another; at `per_second` in all when it is given."""
    until = time.perf_counter() + seconds
    tallies = [_Tally() for _ in range(connections)]

    def run(number: int) -> None:
        client, due = Client(port), time.perf_counter()
        for method, path, body in _from(requests, number):
            if per_second:
                due += connections / per_second
                time.sleep(max(0.0, due - time.perf_counter()))
            begun = time.perf_counter()
            if begun > until:
                break
            status = 0
            with suppress(OSError, EOFError):
                answered = client.get(path) if method == "GET" else client.post(path, body)
                status = answered[0]
            tallies[number].took.append((time.perf_counter() - begun) * 1e3)
            tallies[number].failed += status != 200
        client.close()

    began = time.perf_counter()
    threads = [threading.Thread(target=run, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = sorted(value for tally in tallies for value in tally.took)
    failed = sum(tally.failed for tally in tallies)
    return _measured(took, failed, time.perf_counter() - began)


def _by_polling(
    port: int, requests: Sequence[Request], *, connections: int, seconds: float
) -> Measured:
    """As wrk does: each connection asks again once it is answered, and that costs little."""
    messages = [_message(each) for each in requests]
    began = time.perf_counter()
    took, failed = list[float](), 0
    with selectors.DefaultSelector() as selector:
        for number in range(connections):
            _Poller(port, islice(cycle(messages), number, None)).open(selector)
        while (now := time.perf_counter()) < began + seconds:
            for key, _ in selector.select(0.1):
                ok = key.data.receive(selector)
                if ok is not None:
                    took.append((time.perf_counter() - key.data.begun) * 1e3)
                    failed += not ok
                    key.data.ask()
        for key in list(selector.get_map().values()):
            key.data.line.close()
    return _measured(sorted(took), failed, now - began)


def _message(request: Request) -> bytes:
    method, path, body = request
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


class _Poller:
    """One connection, which is opened again when the server closes it."""

    def __init__(self, port: int, messages: Iterator[bytes]) -> None:
        self._port = port
        self._messages = messages
        self._received = b""
        self.begun = 0.0

    def open(self, selector: selectors.BaseSelector) -> None:
        self.line = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(self.line, selectors.EVENT_READ, self)
        self.ask()

    def ask(self) -> None:
        self._received, self.begun = b"", time.perf_counter()
        self.line.sendall(next(self._messages))

    def receive(self, selector: selectors.BaseSelector) -> bool | None:
        """Whether the answer is a 200; None while some of it is still to come."""
        chunk = self.line.recv(1 << 16)
        if not chunk:
            selector.unregister(self.line)
            self.line.close()
            self.open(selector)
            return None
        self._received += chunk
        end = self._received.find(b"\r\n\r\n")
        start = self._received.find(b"Content-Length: ", 0, end) + 16
        if end < 0 or len(self._received) < end + 4 + int(
            self._received[start : self._received.index(b"\r", start)]
        ):
            return None
        return self._received.startswith(b"HTTP/1.1 200")


def _from(requests: Sequence[Request], start: int) -> Iterator[Request]:
    return islice(cycle(requests), start * 7 % len(requests), None)


def _measured(took: Sequence[float], failed: int, seconds: float) -> Measured:
    return Measured(
        len(took),
        failed,
        seconds,
        statistics.median(took),
        took[int(len(took) * 0.99)],
        took[int(len(took) * 0.9)],
    )


def _wrk(port: int, requests: Sequence[Request], *, connections: int, seconds: float) -> Measured:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        rows = [f'{{"{verb}", "{path}", [==[{body.decode()}]==]}}' for verb, path, body in requests]
        script.write(_ROTATE % ", ".join(rows))
        script.flush()
        wrk = ["wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--latency"]
        said = subprocess.run(
            [*wrk, "-s", script.name, f"http://127.0.0.1:{port}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    count, took = re.search(r"(\d+) requests in ([\d.]+)s", said).groups()  # type: ignore[union-attr]
    if "error" in said.partition("Thread Stats")[0]:
        raise SystemExit(said)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", said)
    failed = int(refused[1]) if refused else 0
    return Measured(
        int(count),
        failed + (sum(map(int, broken.groups())) if broken else 0),
        float(took),
        _milliseconds(said, "50%"),
        _milliseconds(said, "99%"),
        _milliseconds(said, "90%"),
    )


def _milliseconds(said: str, quantile: str) -> float:
    found = re.search(rf"{quantile}\s+([\d.]+)(us|ms|s)", said)
    if found is None:
        return float("nan")
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found[2]]
