"""How often an address may present a key that is none: a budget of its own, shared by all workers.

It counts failures only. Whoever came in from an address before still does when others there have
used its failures up.
"""

from __future__ import annotations

import hmac
import logging
import secrets
import threading
from hashlib import sha256
from typing import cast

from flask import Flask, current_app, request
from limits import RateLimitItemPerMinute
from limits.storage.base import SlidingWindowCounterSupport
from limits.strategies import SlidingWindowCounterRateLimiter

from mlengine.errors import TooManyFailedKeys, Unauthorized
from mlengine.services.keys.authentication import KeyHolder
from mlengine.stores.queue.rate_counts import Window
from mlengine.web.http.limits import open_storage, wait_seconds
from mlengine.web.http.requests import KEY_HEADER, platform, request_time

log = logging.getLogger(__name__)

_FAILED_KEYS = "mlengine.failed_keys"
_SCOPE = "failed-keys"
_MOST_REMEMBERED = 4096


def init_app(app: Flask, *, per_minute: int, storage_url: str | None) -> None:
    """Allow each address so many failures a minute; 0 is no limit."""
    app.extensions[_FAILED_KEYS] = FailedKeys(per_minute, storage_url) if per_minute else None


def authenticate() -> KeyHolder:
    """Whose key the request has; raises Unauthorized or TooManyFailedKeys."""
    presented, address = request.headers.get(KEY_HEADER, ""), request.remote_addr or ""
    if not presented:
        raise Unauthorized("a key is needed in the header X-API-Key")
    failed: FailedKeys | None = current_app.extensions[_FAILED_KEYS]
    if failed:
        failed.require_room(address, presented)
    try:
        holder = platform().keys.authenticate(presented, now=request_time())
    except Unauthorized as refusal:
        if failed:
            failed.count(address, presented)
        log.warning("key refused", extra={"address": address, "reason": str(refusal)})
        raise
    if failed:
        failed.remember(address, presented)
    return holder


class FailedKeys:
    """Safe to use from many threads. Keys are remembered by a digest of this process's own."""

    def __init__(self, per_minute: int, storage_url: str | None) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(open_storage(storage_url))
        self._item = RateLimitItemPerMinute(per_minute)
        self._digest_key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._known: set[bytes] = set()

    def require_room(self, address: str, presented: str) -> None:
        """Raises TooManyFailedKeys where the budget is used up and the key was never right here."""
        if self._digest(address, presented) in self._known:
            return
        if not self._limiter.test(self._item, address, _SCOPE):
            self._refuse(address)

    def count(self, address: str, presented: str) -> None:
        """One more failure; raises TooManyFailedKeys where others were counted meanwhile."""
        with self._lock:
            self._known.discard(self._digest(address, presented))
        if not self._limiter.hit(self._item, address, _SCOPE):
            self._refuse(address)
        self._window(address)  # what this thread was told is old when it asks next

    def remember(self, address: str, presented: str) -> None:
        """That the key is right."""
        digest = self._digest(address, presented)
        with self._lock:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known.add(digest)

    def _refuse(self, address: str) -> None:
        limit, window_seconds = self._item.amount, self._item.get_expiry()
        wait = wait_seconds(*self._window(address), limit=limit, window_seconds=window_seconds)
        raise TooManyFailedKeys(1 + int(wait))

    def _window(self, address: str) -> Window:
        storage = cast("SlidingWindowCounterSupport", self._limiter.storage)
        return storage.get_sliding_window(
            self._item.key_for(address, _SCOPE), self._item.get_expiry()
        )

    def _digest(self, address: str, presented: str) -> bytes:
        text = f"{address}\0{presented}".encode("utf-8", "replace")
        return hmac.digest(self._digest_key, text, sha256)
