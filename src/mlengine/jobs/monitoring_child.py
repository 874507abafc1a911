"""The process that updates monitoring: a child of the worker, which itself loads no Polars."""

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlengine.errors import MlengineError
from mlengine.stores.monitoring.update_lease import UpdateLease
from mlengine.stores.system.child_process import end_child, start_dying_with_parent

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "mlengine.jobs.monitoring")
_SECONDS_BETWEEN_POLLS = 0.5
_MOST_SECONDS = 3600.0
_SECONDS_TO_END = 5.0


@dataclass
class MonitoringChild:
    """Starts it where there is something to take in; at most one at a time.

    `tick` is called in one thread, which must live as long as the process: the child dies with it.
    """

    lease: UpdateLease
    every_seconds: float
    now: Callable[[], datetime]
    command: Sequence[str] = COMMAND

    def __post_init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    def tick(self) -> float:
        """Start one if it is due, or look after the one that works; returns the next look."""
        if self._child is not None:
            return self._look_after(self._child)
        try:
            if not self.lease.is_due(now=self.now()):
                return self.every_seconds
        except MlengineError as error:
            log.warning("monitoring_not_read", extra={"reason": str(error)})
            return self.every_seconds
        self._child, self._started = start_dying_with_parent(self.command), time.monotonic()
        return _SECONDS_BETWEEN_POLLS

    def stop(self) -> None:
        """End a child that works; what it has taken in stays."""
        end_child(self._child, seconds=_SECONDS_TO_END)

    def _look_after(self, child: subprocess.Popen[bytes]) -> float:
        code = child.poll()
        if code is None and time.monotonic() - self._started > _MOST_SECONDS:
            child.kill()
            code = child.wait()
        if code is None:
            return _SECONDS_BETWEEN_POLLS
        if code:
            log.warning("monitoring_update_failed", extra={"exit_code": code})
        self._child = None
        return self.every_seconds
