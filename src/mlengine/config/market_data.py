"""The settings of a market-data service: where it is, and what it wants to see."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from mlengine.config.addresses import names_a_host
from mlengine.config.env_reader import EnvReader
from mlengine.config.redaction import redact
from mlengine.errors import BadSetting

_ADDRESS = "an http:// or https:// address"
_NO_QUERY = (
    f"{_ADDRESS} without ? and #: a key goes in MARKET_DATA_API_KEY, its name in "
    "MARKET_DATA_API_KEY_PARAM"
)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class ServiceSettings:
    """Where a service is, how it is asked and how much of it is taken; see docs/market_data.md."""

    base_url: str | None
    api_key: str | None = field(repr=False)
    api_key_header: str | None
    api_key_param: str | None
    headers_file: Path | None
    page_size: int
    upstream_file: Path | None
    adapter: str | None
    max_mb: int
    max_waits: int


def service_settings(read: EnvReader) -> ServiceSettings:
    """Raises BadSetting, which repeats no key."""
    base_url = _base_url(read)
    key = read.optional("MARKET_DATA_API_KEY")
    if key is not None and not re.fullmatch(r"[!-~]+", key):
        raise BadSetting("MARKET_DATA_API_KEY", "…", "printable ASCII characters without blanks")
    header = _name(read, "MARKET_DATA_API_KEY_HEADER")
    parameter = _name(read, "MARKET_DATA_API_KEY_PARAM")
    if header and parameter:
        expected = "nothing beside MARKET_DATA_API_KEY_HEADER: a key goes in one place"
        raise BadSetting("MARKET_DATA_API_KEY_PARAM", parameter, expected)
    return ServiceSettings(
        base_url=base_url,
        api_key=key,
        api_key_header=header,
        api_key_param=parameter,
        headers_file=read.path("MARKET_DATA_HEADERS_FILE"),
        page_size=read.integer("MARKET_DATA_PAGE_SIZE", 1_000, 10, 1_000_000),
        upstream_file=read.path("MARKET_DATA_UPSTREAM_FILE"),
        adapter=read.optional("MARKET_DATA_ADAPTER"),
        max_mb=read.integer("MARKET_DATA_MAX_MB", 512, 1, 65_536),
        max_waits=read.integer("UPSTREAM_MAX_WAITS", 48, 1, 512),
    )


def _base_url(read: EnvReader) -> str | None:
    """A query, which may be a key, is not repeated."""
    url = read.optional("MARKET_DATA_BASE_URL")
    if url is not None and not (re.match(r"^https?://[^/\s]+", url) and names_a_host(url)):
        redacted = redact(re.sub(r"([?&][^=&]*=)[^&]*", r"\1…", url))
        raise BadSetting("MARKET_DATA_BASE_URL", redacted, _ADDRESS)
    if url is not None and re.search(r"[?#]", url):
        raise BadSetting("MARKET_DATA_BASE_URL", "…", _NO_QUERY)
    return url.rstrip("/") if url else None


def _name(read: EnvReader, variable: str) -> str | None:
    name = read.optional(variable)
    if name is not None and not _NAME.fullmatch(name):
        raise BadSetting(variable, name, "a name of letters, digits, dots, dashes and underscores")
    return name
