"""Whether the upstream is down, and who may try it again."""

import threading
from datetime import datetime, timedelta

# So often somebody finds out whether it is back; all others are answered at once.
_RETRY_SECONDS = 5.0


class Outage:
    """One for a process and its upstream, by the moments of requests; safe for threads."""

    def __init__(self) -> None:
        self._retry_at: datetime | None = None
        self._lock = threading.Lock()

    def may_ask(self, now: datetime) -> bool:
        """True while the upstream is not down; then once in a while, to one who asks."""
        with self._lock:
            if self._retry_at is None:
                return True
            if now < self._retry_at:
                return False
            self._retry_at = now + timedelta(seconds=_RETRY_SECONDS)
            return True

    def is_on(self, now: datetime) -> bool:
        """Whether the upstream is down, and nobody is to try it yet."""
        retry_at = self._retry_at
        return retry_at is not None and now < retry_at

    def begin(self, now: datetime) -> None:
        """The upstream could not be reached."""
        with self._lock:
            self._retry_at = now + timedelta(seconds=_RETRY_SECONDS)

    def end(self) -> None:
        """The upstream has answered."""
        self._retry_at = None

    def retry_at(self, now: datetime) -> datetime:
        """When the upstream is tried again, by one who could not use what it said at `now`."""
        return self._retry_at or now + timedelta(seconds=_RETRY_SECONDS)
