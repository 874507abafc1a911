"""Whether the web server answers yet."""

import select
import socket
from dataclasses import dataclass, field

from mlengine.supervisor.messages import reachable_host


@dataclass
class HealthProbe:
    """Asks /health once and looks for the answer without waiting: workers take their time."""

    host: str
    port: int
    _connection: socket.socket | None = field(default=None, init=False)

    def is_healthy(self) -> bool:
        """Whether the web server has answered 200 by now."""
        try:
            if self._connection is None:
                self._connection = self._send()
            if not select.select([self._connection], [], [], 0)[0]:
                return False
            head = self._connection.recv(64)
        except OSError:
            head = b""
        self.close()
        return b" 200 " in head

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self) -> socket.socket:
        address = (reachable_host(self.host), self.port)
        connection = socket.create_connection(address, timeout=1)
        connection.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return connection
