"""Where gunicorn writes a response: into memory, so that no thread waits for a client."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlengine.web.serving.sockets import send_at_once

if TYPE_CHECKING:
    from mlengine.web.serving.streams.subscription import Subscription

LAST_CHUNK = b"0\r\n\r\n"


class ResponseBuffer:
    """As much of a socket as gunicorn's side of WSGI uses."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.subscription: Subscription | None = None

    def take_subscription(self) -> Subscription | None:
        """What the client follows from now on: the answer is left open for it.

        None for most answers, and where it has a length, so that nothing can follow it.
        """
        if self.subscription is None or self._parts[-1:] != [LAST_CHUNK]:
            return None
        self._parts.pop()
        return self.subscription

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
