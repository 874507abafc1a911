"""Requests and answers byte by byte, on one kept connection."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

LINE = "GET /predict?symbol=AAA HTTP/1.1"


def raw(line: str = LINE, *headers: str) -> bytes:
    return "\r\n".join([line, "Host: localhost", *headers, "", ""]).encode()


@dataclass
class Line:
    """One kept connection, byte by byte."""

    socket: socket.socket
    rest: bytes = b""

    def answer(self) -> tuple[list[str], dict[str, object]]:
        """The next answer that comes: its head's lines, and its body."""
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        length = next(int(each.split(": ")[1]) for each in lines if "Content-Length" in each)
        while len(self.rest) < length:
            self._more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return lines, json.loads(body)

    def ask(self, request_bytes: bytes) -> tuple[list[str], dict[str, object]]:
        self.socket.sendall(request_bytes)
        return self.answer()

    def _more(self) -> None:
        chunk = self.socket.recv(1 << 20)
        assert chunk, "the connection was closed"
        self.rest += chunk


@contextmanager
def line_to(port: int) -> Iterator[Line]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as made:
        yield Line(made)
