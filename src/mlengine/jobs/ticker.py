"""Ticks the schedule in a thread of the worker process, so that it goes on while a run works."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from mlengine.errors import MlengineError
from mlengine.services.runs.schedules import ScheduleService

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_TICKS = 1.0
_SECONDS_AFTER_A_FAILURE = 10.0


@dataclass(frozen=True)
class ScheduleTicker:
    schedules: ScheduleService
    now: Callable[[], datetime]
    _stopped: threading.Event = field(default_factory=threading.Event, init=False)

    def start(self) -> None:
        """Tick until `stop`, or until the process ends."""
        threading.Thread(target=self._run, name="schedule-ticker", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def tick_once(self) -> float:
        """Claim what is due; returns the seconds until the next tick."""
        try:
            self.schedules.tick(run_id=uuid4().hex, now=self.now())
        except MlengineError as error:
            log.warning("schedule_not_read", extra={"reason": str(error)})
            return _SECONDS_AFTER_A_FAILURE
        return _SECONDS_BETWEEN_TICKS

    def _run(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            pause = self.tick_once()
