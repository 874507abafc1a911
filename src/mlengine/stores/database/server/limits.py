"""How long a database server is waited for, and when it is not waited for at all."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy import Engine

from mlengine.errors import DatabaseUnavailable

_LIMITS = "mlengine_server_limits"
_SECONDS_BETWEEN_PROBES = 0.25
# The server cuts a slow statement off itself, and says so; who hears nothing even then gives it up.
_GRACE_SECONDS = 0.25


@dataclass(eq=False)
class ServerLimits:
    """The limits of one engine; safe for threads.

    A connection, and a place in the pool, is waited for `seconds`. So is each statement in a
    process that clients wait for (`guards_answers`): others may ask for what takes long. There a
    server that has once not answered in time is not asked again, until it answers `probe`, which a
    thread asks meanwhile: a server that hangs costs the answers under way so many seconds once.
    """

    seconds: float
    probe: Callable[[], bool]
    guards_answers: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _prober: threading.Thread | None = field(default=None, init=False)

    @property
    def server_seconds(self) -> float | None:
        """What the server itself is told about statements."""
        return self.seconds if self.guards_answers else None

    @property
    def client_seconds(self) -> float | None:
        """After which a statement is given up: a server that is stopped tells nobody anything."""
        return self.seconds + _GRACE_SECONDS if self.guards_answers else None

    @property
    def is_hanging(self) -> bool:
        """Whether the server has not answered in time, nor since."""
        return self._prober is not None

    @property
    def is_prober(self) -> bool:
        """Whether this thread is the one that asks a server that hangs."""
        return threading.current_thread() is self._prober

    def require_answering(self) -> None:
        """Raises DatabaseUnavailable where the server `is_hanging`."""
        if self.is_hanging:
            raise DatabaseUnavailable("it does not answer")

    def record_hanging(self) -> None:
        """The server has not answered in time."""
        if not self.guards_answers:
            return
        with self._lock:
            if self._prober is None:
                self._prober = threading.Thread(
                    target=self._probe_until_it_answers, name="database-probe", daemon=True
                )
                self._prober.start()

    def _probe_until_it_answers(self) -> None:
        pause = threading.Event()
        while not self.probe():
            pause.wait(_SECONDS_BETWEEN_PROBES)
        self._prober = None


def limits_of(engine: Engine) -> ServerLimits | None:
    """The one that `open_server` gave the engine; SQLite has none."""
    return cast("ServerLimits | None", engine.get_execution_options().get(_LIMITS))


def give_limits(engine: Engine, limits: ServerLimits) -> None:
    engine.update_execution_options(**{_LIMITS: limits})
