"""The counts of the queue server, and this process's own while it does not answer."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from limits.storage import MemoryStorage
from redis.exceptions import RedisError

from mlengine.stores.queue.rate_counts import RateCounts, Window, rate_counts_uri

_PREFIX = "steady-"
_SCHEMES = [_PREFIX + scheme for scheme in RateCounts.STORAGE_SCHEME]
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 16.0

Result = TypeVar("Result")


def fallback_storage_uri(limits_uri: str) -> str:
    """How limits is told to keep the counts of that server in here."""
    return _PREFIX + rate_counts_uri(limits_uri)


class FallbackRateLimitStorage(RateCounts):
    """Raises nothing: a request that finds the server silent is counted here, with no more wait.

    One request after each pause asks the server again, all others are counted here meanwhile.
    """

    STORAGE_SCHEME = _SCHEMES

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri.removeprefix(_PREFIX), **options)
        self._own = MemoryStorage()
        self._own_lock = threading.Lock()  # two requests at once start its timer twice, which fails
        self._pause = 0.0
        self._asks_again_at = 0.0

    @property
    def is_silent(self) -> bool:
        """Whether the server did not answer the last time."""
        return self._pause > 0

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        window = key, limit, expiry, amount
        ask = super().acquire_sliding_window_entry
        is_admitted = self._ask(lambda: ask(*window))
        if is_admitted is None:
            with self._own_lock:
                return self._own.acquire_sliding_window_entry(*window)
        return is_admitted

    def acquire_if_answered(
        self, amounts: Mapping[str, int], limit: int, expiry: int
    ) -> dict[str, tuple[int, Window]] | None:
        """As `acquire_up_to_limit`; None, and nothing is counted, while the server is silent."""
        return self._ask(lambda: self.acquire_up_to_limit(amounts, limit, expiry))

    def get_sliding_window(self, key: str, expiry: int) -> Window:
        if self._mine.counted is not None:  # by the server, just now
            return super().get_sliding_window(key, expiry)
        ask = super().get_sliding_window
        window = self._ask(lambda: ask(key, expiry))
        if window is None:
            with self._own_lock:
                return self._own.get_sliding_window(key, expiry)
        return window

    def _ask(self, call: Callable[[], Result]) -> Result | None:
        """None where the server is silent, or was a moment ago."""
        if self._pause:
            now = time.monotonic()
            if now < self._asks_again_at:
                return None
            self._asks_again_at = now + self._pause
        try:
            result = call()
        except RedisError:
            self._pause = min(max(2 * self._pause, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
            self._asks_again_at = time.monotonic() + self._pause
            return None
        self._pause = 0.0
        return result
