"""Where gunicorn writes a response: into memory, so that no thread waits for a client."""

import socket
from dataclasses import dataclass
from typing import Any

from mlengine.web.serving.sockets import send_at_once


class ResponseBuffer:
    """As much of a socket as gunicorn's side of WSGI uses."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self._parts.append(data)

    send = sendall

    def shutdown(self, _how: int) -> None:
        """What gunicorn does where an application broke in the middle of its answer."""
        self._parts.clear()

    def settimeout(self, _seconds: float) -> None:
        pass

    def recv(self, _size: int) -> bytes:
        return b""

    def close(self) -> None:
        pass

    def send_to(self, sock: socket.socket) -> memoryview:
        """Send what the client takes at once, and return the rest; raises OSError for none."""
        return send_at_once(sock, memoryview(b"".join(self._parts)))


@dataclass(frozen=True, slots=True)
class Exchange:
    """What gunicorn wants to know of a connection to handle a request of it."""

    sock: ResponseBuffer
    client: Any
    server: Any
