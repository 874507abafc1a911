"""Where a running platform is reached from this machine."""

from __future__ import annotations

import select
import socket
from dataclasses import dataclass, field

from mlengine import __version__
from mlengine.config import Settings

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where they are reached


@dataclass
class HealthProbe:
    """Asks /health once and looks for the answer without waiting: workers take their time."""

    host: str
    port: int
    _line: socket.socket | None = field(default=None, init=False)

    def answered(self) -> bool:
        """Whether the web server has said 200 by now."""
        try:
            if self._line is None:
                self._line = self._ask()
            if not select.select([self._line], [], [], 0)[0]:
                return False
            said = self._line.recv(64)
        except OSError:
            said = b""
        self.close()
        return b" 200 " in said

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _ask(self) -> socket.socket:
        host = _ANYWHERE.get(self.host, self.host)
        line = socket.create_connection((host, self.port), timeout=1)
        line.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return line


def base_address(settings: Settings) -> str:
    local = _ANYWHERE.get(settings.host, settings.host) in ("127.0.0.1", "::1")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{'localhost' if local else host}:{settings.port}"


def example_request(settings: Settings, *, path: str = "predict") -> str:
    symbol = settings.train.symbols[0] if settings.train.symbols else "AAPL"
    return f"{base_address(settings)}/{path}?symbol={symbol}"


def welcome(settings: Settings) -> list[str]:
    base = base_address(settings)
    return [
        f"mlengine {__version__} is up ({settings.env}, {settings.market_data_kind} prices); "
        "Ctrl-C stops it",
        f"  health    {base}/health",
        f"  models    {base}/models",
        f"  features  {example_request(settings, path='features')}",
        f"  predict   {example_request(settings)}",
    ]
