"""A proxy before an S3 server that fails at a call of one's choice."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

SLOW_SECONDS = 0.3
_OF_A_CONNECTION = ("content-length", "transfer-encoding", "connection")
_BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code></Error>"


@dataclass
class Faults:
    """`kind` befalls the calls from number `first` on, counted from 0, `count` of them.

    `busy` answers 503, `refused` ends the connection before the server sees the call, `lost` after
    it has carried it out, `slow` passes it on late.
    """

    kind: str = "none"
    first: int = 0
    count: int = 0
    calls: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> str:
        """What befalls this call."""
        with self._lock:
            number, self.calls = self.calls, self.calls + 1
        return self.kind if self.first <= number < self.first + self.count else "none"

    def arm(self, kind: str = "none", *, first: int = 0, count: int = 1) -> None:
        """Count calls from 0 again."""
        with self._lock:
            self.kind, self.first, self.count, self.calls = kind, first, count, 0


@contextmanager
def faulty_proxy(upstream_port: int) -> Iterator[tuple[int, Faults]]:
    """The port that it listens at, and what it does to calls."""
    faults = Faults()
    handler = type("_Handler", (_Forwarding,), {"faults": faults, "upstream_port": upstream_port})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port, faults
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Forwarding(BaseHTTPRequestHandler):
    """Passes a call on as it is: the server checks a signature over its head."""

    faults: ClassVar[Faults]
    upstream_port: ClassVar[int]
    protocol_version = "HTTP/1.1"

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.faults.next()
        if fault == "refused":
            self.close_connection = True
            return
        if fault == "busy":
            self._answer(503, [("Content-Type", "application/xml")], _BUSY)
            return
        if fault == "slow":
            time.sleep(SLOW_SECONDS)
        upstream = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=30)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        if fault == "lost":
            self.close_connection = True
            return
        self._answer(answer.status, answer.getheaders(), content)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        with suppress(OSError):  # a client that no longer waits
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in _OF_A_CONNECTION:
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Nothing: a test reads what the platform logs."""

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward  # noqa: N815 - the server's names
