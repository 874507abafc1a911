"""What the supervisor prints: addresses and commands, as this user can use them."""

import os
import shutil
import sys
from pathlib import Path

from mlengine import __version__
from mlengine.config import Settings

_ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where they are reached


def command_text(arguments: str) -> str:
    """`mlengine ARGUMENTS`, with the path from here where it isn't on PATH."""
    program = str(Path(sys.executable).with_name("mlengine"))
    on_path = shutil.which("mlengine")
    if on_path and os.path.realpath(on_path) == os.path.realpath(program):
        return f"mlengine {arguments}"
    relative = os.path.relpath(program)
    return f"{program if relative.startswith('..') else relative} {arguments}"


def reachable_host(host: str) -> str:
    """The address at which a server that listens on `host` is reached from this machine."""
    return _ANY_HOST.get(host, host)


def base_address(settings: Settings) -> str:
    local = reachable_host(settings.host) in ("127.0.0.1", "::1")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{'localhost' if local else host}:{settings.port}"


def example_request(settings: Settings, *, path: str = "predict") -> str:
    symbol = settings.train.symbols[0] if settings.train.symbols else "AAPL"
    return f"{base_address(settings)}/{path}?symbol={symbol}"


def _prices(kind: str) -> str:
    """Where prices come from, in words."""
    if kind == "files":
        return "prices of files"
    return "prices of a service" if kind == "http" else f"{kind} prices"


def welcome(settings: Settings) -> list[str]:
    base = base_address(settings)
    return [
        f"mlengine {__version__} is up ({settings.env}, {_prices(settings.market_data_kind)}); "
        "Ctrl-C stops it",
        f"  health    {base}/health",
        f"  models    {base}/models",
        f"  features  {example_request(settings, path='features')}",
        f"  predict   {example_request(settings)}",
    ]
