"""The settings that are addresses, of services and of this one."""

import ipaddress
import re
from pathlib import Path
from typing import TypedDict
from urllib.parse import urlsplit

from mlengine.config.env_reader import EnvReader
from mlengine.errors import BadSetting

_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")
# In lower case, and without a path.
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")
_SCHEDULER = re.compile(r"(tcp|tls)://[A-Za-z0-9._-]+:[0-9]{1,5}")
_LOCAL = "localhost"


class DatabaseSettings(TypedDict):
    """Which database, and how long a server of it is waited for."""

    audit_database_url: str
    database_timeout_seconds: float


def database(read: EnvReader, artifacts: Path) -> DatabaseSettings:
    """Raises BadSetting."""
    return DatabaseSettings(
        audit_database_url=read.text("AUDIT_DATABASE_URL", f"sqlite:///{artifacts}/audit.db"),
        database_timeout_seconds=read.seconds("DATABASE_TIMEOUT_SECONDS", 2.0),
    )


def names_a_host(url: str) -> bool:
    """Whether a URL has a host, and a port from 1 to 65535 if any."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def redis_url(read: EnvReader) -> str | None:
    """REDIS_URL; raises BadSetting, which repeats no password."""
    url = read.optional("REDIS_URL")
    if url is None:
        return None
    socket = re.match(r"unix://.", url)
    if not socket and not (re.match(r"rediss?://.", url) and names_a_host(url)):
        scheme = re.match(r"[a-z+]+://", url)
        redacted = f"{scheme[0] if scheme else ''}…"
        raise BadSetting("REDIS_URL", redacted, "a redis://, rediss:// or unix:// address")
    return url


def dask_scheduler(read: EnvReader) -> str | None:
    """DASK_SCHEDULER_ADDRESS, the name that Dask itself has for it; raises BadSetting."""
    address = read.optional("DASK_SCHEDULER_ADDRESS")
    if address is not None and not _is_scheduler(address):
        expected = "tcp://host:port or tls://host:port"
        raise BadSetting("DASK_SCHEDULER_ADDRESS", address, expected)
    return address


def _is_scheduler(address: str) -> bool:
    return bool(_SCHEDULER.fullmatch(address)) and names_a_host(address)


def host(read: EnvReader) -> str:
    """HOST; raises BadSetting."""
    name = read.text("HOST", "127.0.0.1")
    if not _HOST.fullmatch(name):
        raise BadSetting("HOST", name, "a name or an address to listen on, such as 127.0.0.1")
    return name


def cors_origins(read: EnvReader) -> tuple[str, ...]:
    """CORS_ORIGINS: origins as browsers send them, or `*` alone; raises BadSetting."""
    origins = read.comma_list("CORS_ORIGINS")
    for origin in origins:
        if not (origins == ("*",) or (_ORIGIN.fullmatch(origin) and names_a_host(origin))):
            expected = "origins such as https://desk.example.com or http://127.0.0.1:3000, or *"
            raise BadSetting("CORS_ORIGINS", origin, expected)
    return origins


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there; a name but localhost may be any."""
    try:
        return host == _LOCAL or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
