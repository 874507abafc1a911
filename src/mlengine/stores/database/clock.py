"""The one clock of a platform: its database server's, so that hosts agree whatever theirs say."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, func, select

from mlengine.errors import DatabaseUnavailable
from mlengine.stores.database.engine import reading

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_READINGS = 30.0
_PATIENCE_SECONDS = 1.0
_WORTH_A_WARNING = timedelta(seconds=5)


def host_clock() -> datetime:
    """The clock of the machine itself, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class _Reading:
    """The server's clock once: `now` at `timer` seconds of the monotonic clock."""

    now: datetime
    timer: float
    lead: timedelta


@dataclass
class DatabaseClock:
    """Tells the time of the database server, which is read again every half minute.

    Between two readings the monotonic clock counts, so that a host whose clock is set meanwhile
    does not notice. SQLite has no clock but the host's. A server that can't be reached leaves the
    last reading, and before the first one the host's clock; only the first call waits, a second
    at most. `host` and `timer` (monotonic, in seconds) are this machine's.
    """

    engine: Engine
    host: Callable[[], datetime] = host_clock
    timer: Callable[[], float] = time.monotonic
    _last: _Reading | None = field(default=None, init=False)
    _asked_at: float | None = field(default=None, init=False)
    _asking: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __call__(self) -> datetime:
        """The moment it is, in UTC."""
        if self._is_hosts:
            return self.host()
        timer = self.timer()
        if self._asked_at is None or timer - self._asked_at >= _SECONDS_BETWEEN_READINGS:
            self._ask(timer)
        last = self._last
        return self.host() if last is None else last.now + timedelta(seconds=timer - last.timer)

    @property
    def skew_seconds(self) -> float | None:
        """How far the host's clock is ahead; None as long as the server was not reached."""
        if self._is_hosts:
            return 0.0
        return None if self._last is None else self._last.lead.total_seconds()

    @property
    def _is_hosts(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def _ask(self, timer: float) -> None:
        """In a thread; the very first caller waits for it."""
        if not self._asking.acquire(blocking=False):
            return
        is_first, self._asked_at = self._asked_at is None, timer
        asking = threading.Thread(target=self._read, name="database-clock", daemon=True)
        asking.start()
        if is_first:
            asking.join(_PATIENCE_SECONDS)

    def _read(self) -> None:
        try:
            began = self.timer()
            with reading(self.engine) as connection:
                began = self.timer()
                now = connection.execute(select(func.clock_timestamp())).scalar_one()
            took = self.timer() - began
            now = now.astimezone(UTC) + timedelta(seconds=took / 2)  # Polars tells zones by name
            self._keep(_Reading(now, began + took, self.host() - now))
        except DatabaseUnavailable as refusal:
            log.debug("clock of the database not read", extra={"reason": refusal.reason})
        finally:
            self._asking.release()

    def _keep(self, read: _Reading) -> None:
        before = self._last
        self._last = read
        was_off = before is not None and abs(before.lead) >= _WORTH_A_WARNING
        if abs(read.lead) >= _WORTH_A_WARNING and not was_off:
            facts = {"ahead_seconds": round(read.lead.total_seconds(), 3)}
            log.warning("this host's clock differs from the database's", extra=facts)
