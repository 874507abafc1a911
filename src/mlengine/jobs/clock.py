"""The clock of the schedule: a thread of the worker process, so that it ticks while a run works."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from mlengine.errors import MlengineError
from mlengine.services.runs.schedules import ScheduleService

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_AFTER_A_FAILURE = 10.0


@dataclass(frozen=True)
class Clock:
    schedules: ScheduleService
    now: Callable[[], datetime]
    _stopped: threading.Event = field(default_factory=threading.Event, init=False)

    def start(self) -> None:
        """Tick until `stop`, or until the process ends."""
        threading.Thread(target=self._run, name="clock", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def beat(self) -> float:
        """Look once; returns the seconds until the next look."""
        try:
            self.schedules.tick(run_id=uuid4().hex, now=self.now())
        except MlengineError as error:
            log.warning("schedule_not_read", extra={"reason": str(error)})
            return _SECONDS_AFTER_A_FAILURE
        return _SECONDS_BETWEEN_LOOKS

    def _run(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            pause = self.beat()
