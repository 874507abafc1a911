"""A real receiver of webhooks on loopback: it answers as it is told, and remembers what came."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


@dataclass(frozen=True)
class Reply:
    """`drip_seconds` is what each byte of the head takes."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    drip_seconds: float = 0.0
    body: bytes = b""


@dataclass(frozen=True)
class Received:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        return orjson.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """By the text of Standard Webhooks, without its package."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        stamp = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}."
        digest = hmac.new(key, stamp.encode() + self.body, hashlib.sha256).digest()
        wanted = f"v1,{base64.b64encode(digest).decode()}"
        return wanted in self.headers["webhook-signature"].split(" ")


class HookReceiver:
    """Answers the next requests with `replies`, then with `always`; for use in a `with` block."""

    def __init__(self, *replies: Reply, always: Reply | None = None) -> None:
        self.received: list[Received] = []
        self.always = always or Reply()
        self._replies = deque(replies)
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook?a=1"

    def take(self, received: Received) -> Reply:
        self.received.append(received)
        return self._replies.popleft() if self._replies else self.always

    def __enter__(self) -> HookReceiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, receiver: HookReceiver) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.receiver = receiver

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that gave up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.receiver.take(Received(self.path, headers, body))
        time.sleep(reply.delay_seconds)
        head = [f"HTTP/1.1 {reply.status} Said", f"Content-Length: {len(reply.body)}"]
        head += [f"{name}: {value}" for name, value in reply.headers.items()]
        answer = "\r\n".join([*head, "", ""]).encode() + reply.body
        if not reply.drip_seconds:
            self.wfile.write(answer)
        for number in range(len(answer) if reply.drip_seconds else 0):
            self.wfile.write(answer[number : number + 1])
            time.sleep(reply.drip_seconds)

    def log_message(self, *_: Any) -> None:
        """Silent."""
