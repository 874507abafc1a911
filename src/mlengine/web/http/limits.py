"""One budget of requests a client over both prefixes, counted in Redis for all workers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import cached_property, lru_cache, partial
from typing import Any, cast

from flask import Blueprint, Flask, Response, g, request
from flask.globals import request_ctx
from flask_limiter import ApplicationLimit, Limiter, RequestLimit
from flask_limiter.util import get_remote_address
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.errors import ConfigurationError
from limits.storage import Storage, storage_from_string
from limits.storage.base import SlidingWindowCounterSupport
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from mlengine.config.redaction import redact
from mlengine.errors import BadSetting
from mlengine.stores.queue.fallback_rate_limit_storage import (
    FallbackRateLimitStorage,
    fallback_storage_uri,
)
from mlengine.web.http.rate_limit_headers import (
    REMAINING,
    RESET,
    Headers,
    RateLimitHeaders,
    seconds_until,
)

_TIMEOUT_SECONDS = 0.1
_CONTEXT = "mlengine.limiter"
_SCOPE = "global"  # that of every ApplicationLimit
_CACHED_KEYS = 4096

Record = Callable[[str, str], None]
# The headers of a request that was counted before it came to the framework.
counted_headers: ContextVar[Headers | None] = ContextVar("counted_headers", default=None)


def init_app(
    app: Flask,
    *,
    requests: int,
    window_seconds: int,
    storage_url: str | None,
    record: Record,
    exempt: tuple[Blueprint, ...],
) -> RateLimit | None:
    """Limit each address to `requests` a window; 0 is no limit.

    Without a `storage_url`, or while it can't be reached, each worker counts for itself, and
    `record("redis", "degraded")` says so. Must come after the hooks, whose id and clock it needs.
    Returns the same limit for what is answered without the framework; None where there is none.
    Raises BadSetting for an address that is none.
    """
    if requests == 0:
        return None
    limiter = _Guard(
        get_remote_address,
        application_limits=[_ParsedOnce(f"{requests} per {window_seconds} seconds")],
        strategy="sliding-window-counter",
        storage_uri=_storage_uri(storage_url),
        storage_options=_options() if storage_url else {},
        headers_enabled=True,
        request_identifier=_endpoint,
    )
    app.after_request(_after(limiter, RateLimitHeaders(requests, window_seconds), record))
    try:
        limiter.init_app(app)
    except (ConfigurationError, ValueError):
        raise BadSetting("REDIS_URL", "…", "a redis://, rediss:// or unix:// address") from None
    for blueprint in exempt:
        limiter.exempt(blueprint)
    limiter.request_filter(lambda: counted_headers.get() is not None)
    return RateLimit(limiter, RateLimitItemPerSecond(requests, window_seconds), record)


def open_storage(storage_url: str | None) -> Storage:
    """Where further limits count; see `init_app`."""
    options = _options() if storage_url else {}
    return cast("Storage", storage_from_string(_storage_uri(storage_url), **options))


class RateLimit:
    """The limit of the framework's requests, for many that are answered without it."""

    def __init__(self, limiter: Limiter, item: RateLimitItem, record: Record) -> None:
        self._limiter = limiter
        self._item = item
        self._record = record
        self._headers = RateLimitHeaders(item.amount, item.get_expiry())
        self._key = lru_cache(_CACHED_KEYS)(lambda address: item.key_for(address, _SCOPE))

    def admit(self, addresses: Sequence[str]) -> list[Headers | None]:
        """Count a request of each address at once, and return the headers of its answer.

        None is left to the framework, uncounted: then the limit is reached, or no server counts
        for all workers, for which the framework has a fall-back.
        """
        storage = self._limiter.limiter.storage
        if not isinstance(storage, FallbackRateLimitStorage):
            return [None] * len(addresses)
        remaining = self._count(storage, Counter(addresses))
        if remaining is None:
            return [None] * len(addresses)
        self._record("redis", "ok")
        return [next(remaining[address], None) for address in addresses]

    def _count(
        self, storage: FallbackRateLimitStorage, requests: Mapping[str, int]
    ) -> dict[str, Iterator[Headers]] | None:
        """By address, the headers of the requests that are within the limit, one after another.

        None while the server is silent.
        """
        item, strategy, now = self._item, self._limiter.limiter, int(time.time())
        keys = {address: self._key(address) for address in requests}
        amounts = {keys[address]: count for address, count in requests.items()}
        admitted = storage.acquire_if_answered(amounts, item.amount, item.get_expiry())
        if admitted is None:
            return None
        headers: dict[str, Iterator[Headers]] = {}
        for address, key in keys.items():
            count, window = admitted[key]
            storage.cache_window(key, item.get_expiry(), window)
            stats = strategy.get_window_stats(item, address, _SCOPE)
            last = stats.remaining
            headers[address] = map(
                partial(self._headers.counted, int(stats.reset_time + 1), now),
                range(last + count - 1, last - 1, -1),
            )
        return headers


class _ParsedOnce(ApplicationLimit):
    """The extension reads the text of a limit again for each request."""

    @cached_property
    def _parsed(self) -> tuple[Any, ...]:
        return tuple(super().__iter__())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parsed)


class _Guard(Limiter):
    """The extension, with less work a request."""

    def init_app(self, app: Flask) -> None:
        """The address has served its purpose then; `limiter config` would print its password."""
        super().init_app(app)
        self._storage_uri = redact(self._storage_uri or "")

    @property
    def context(self) -> Any:
        """Found by one look-up of a proxy; the extension's own takes five, eight times."""
        attributes = vars(cast("Any", request_ctx)._get_current_object())
        return attributes.get(_CONTEXT) or attributes.setdefault(_CONTEXT, super().context)


def _storage_uri(storage_url: str | None) -> str:
    return fallback_storage_uri(storage_url) if storage_url else "memory://"


def _options() -> dict[str, Any]:
    """Short enough that a queue server which hangs costs a request 0.2 s, and only once.

    What was not answered in time may have been counted, and is not asked again.
    """
    return {
        "socket_timeout": _TIMEOUT_SECONDS,
        "socket_connect_timeout": _TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    }


def _endpoint() -> str:
    """Unknown paths count too: the limiter would let an empty name pass."""
    return request.endpoint or "unmatched"


def _after(
    limiter: Limiter, headers: RateLimitHeaders, record: Record
) -> Callable[[Response], Response]:
    def after(response: Response) -> Response:
        current = limiter.current_limit
        if current is None:
            response.headers.extend(counted_headers.get() or ())
            return response
        record("redis", _state(limiter))
        wait = seconds_until(int(response.headers[RESET]), int(time.time()))
        if response.status_code == 429:
            g.retry_after_seconds = 1 + int(_wait_of(limiter, current))
            wait = max(wait, g.retry_after_seconds)
        remaining = int(response.headers[REMAINING])
        response.headers.extend(headers.standard(remaining, wait))
        return response

    return after


def _wait_of(limiter: Limiter, refused: RequestLimit) -> float:
    """Seconds until `refused` lets one more in; the extension's own figure can be too short."""
    window_seconds = refused.limit.get_expiry()
    storage = cast("SlidingWindowCounterSupport", limiter.limiter.storage)
    counts = storage.get_sliding_window(refused.key, window_seconds)
    return wait_seconds(*counts, limit=refused.limit.amount, window_seconds=window_seconds)


def wait_seconds(
    previous: int,
    previous_ttl: float,
    current: int,
    current_ttl: float,
    *,
    limit: int,
    window_seconds: int,
) -> float:
    """Seconds until a sliding window of two counters has room for one more.

    `previous` weighs `previous_ttl / window_seconds`; `current_ttl` includes the window in which
    `current` will be the previous one.
    """
    if current >= limit:
        return max(0.0, current_ttl - window_seconds)
    if previous == 0:
        return 0.0
    return max(0.0, previous_ttl - (limit - current) * window_seconds / previous)


def _state(limiter: Limiter) -> str:
    storage = limiter.storage
    return (
        "ok"
        if isinstance(storage, FallbackRateLimitStorage) and not storage.is_silent
        else "degraded"
    )
