"""Whether the upstream is down, and who may try it again."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from mlengine.errors import MlengineError, UpstreamUnavailable

# So often somebody finds out whether it is back; all others are answered at once.
_RETRY_SECONDS = 5.0
# After so many questions in a row without an answer that holds for symbols without bars, too.
_MOST_FAILURES = 5
_PATIENCE_SECONDS = 2.0


class CircuitBreaker:
    """One for a process and its upstream, by the moments of requests; safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._retry_at: datetime | None = None
        self._failures = 0
        self._asked_at: dict[object, float] = {}
        self._clock = clock
        self._lock = threading.Lock()

    def may_ask(self, now: datetime, *, has_bars: bool = True) -> bool:
        """True while the upstream is not down; then once in a while, to one who asks.

        Whoever has no bars may ask until it is down for good.
        """
        with self._lock:
            if self._retry_at is None or (not has_bars and self._failures < _MOST_FAILURES):
                return True
            if now < self._retry_at:
                return False
            self._retry_at = now + timedelta(seconds=_RETRY_SECONDS)
            return True

    @contextmanager
    def attempt(self, now: datetime) -> Iterator[None]:
        """Ask the upstream within the block, whose error says how it does."""
        key = object()
        self._asked_at[key] = self._clock()
        try:
            yield
        except UpstreamUnavailable as error:
            self.begin(now, error.retry_after_seconds)
            raise
        except MlengineError:
            self.end()
            raise
        else:
            self.end()
        finally:
            del self._asked_at[key]

    def hangs(self) -> bool:
        """Whether a question has been out for long, so that nobody should join it who has bars."""
        oldest = min(list(self._asked_at.values()), default=math.inf)
        return self._clock() - oldest > _PATIENCE_SECONDS

    def is_on(self, now: datetime) -> bool:
        """Whether the upstream is down, and nobody is to try it yet."""
        retry_at = self._retry_at
        return retry_at is not None and now < retry_at

    def begin(self, now: datetime, seconds: float = _RETRY_SECONDS) -> None:
        """The upstream could not be reached, and is not to be asked for so long."""
        with self._lock:
            self._failures += 1
            self._retry_at = now + timedelta(seconds=max(seconds, _RETRY_SECONDS))

    def end(self) -> None:
        """The upstream has answered."""
        with self._lock:
            self._retry_at, self._failures = None, 0

    def retry_at(self, now: datetime) -> datetime:
        """When the upstream is tried again, by one who could not use what it said at `now`."""
        return self._retry_at or now + timedelta(seconds=_RETRY_SECONDS)

    def retry_seconds(self, now: datetime) -> int:
        """The same, in whole seconds from `now` on."""
        return max(1, math.ceil((self.retry_at(now) - now).total_seconds()))
