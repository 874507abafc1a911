"""Ticks in threads of the worker process, so that they go on while a run works."""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from uuid import uuid4

from mlengine.errors import MlengineError
from mlengine.services.runs.retraining import RetrainingService
from mlengine.services.runs.schedules import ScheduleService

Schedules = Callable[[], Iterable[ScheduleService]]
Retrainings = Callable[[], Iterable[RetrainingService]]

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_TICKS = 1.0
_SECONDS_AFTER_A_FAILURE = 10.0
_SECONDS_BETWEEN_LOOKS = 5.0


@dataclass(frozen=True)
class Ticker:
    """Calls `tick` again and again; it returns the seconds until the next call."""

    name: str
    tick: Callable[[], float]
    _: KW_ONLY
    seconds_before_first: float = 0.0
    _stopped: threading.Event = field(default_factory=threading.Event, init=False)

    def start(self) -> None:
        """Tick until `stop`, or until the process ends."""
        threading.Thread(target=self._run, name=f"{self.name}-ticker", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        pause = self.seconds_before_first
        while not self._stopped.wait(pause):
            pause = self.tick()


def claim_wanted_training(retrainings: Retrainings, now: Callable[[], datetime]) -> float:
    """Claim what monitoring asks for in each line; returns the seconds until the next look."""
    return _tick_each(retrainings, now, "retraining_not_read", _SECONDS_BETWEEN_LOOKS)


def claim_due_training(schedules: Schedules, now: Callable[[], datetime]) -> float:
    """Claim what each line's schedule says is due; returns the seconds until the next look."""
    return _tick_each(schedules, now, "schedule_not_read", _SECONDS_BETWEEN_TICKS)


def _tick_each(
    services: Schedules | Retrainings, now: Callable[[], datetime], failure: str, pause: float
) -> float:
    """Tick for each line, whatever becomes of the others."""
    try:
        lines = services()
    except MlengineError as error:
        log.warning(failure, extra={"reason": str(error)})
        return _SECONDS_AFTER_A_FAILURE
    for service in lines:
        try:
            service.tick(run_id=uuid4().hex, now=now())
        except MlengineError as error:
            log.warning(failure, extra={"reason": str(error)})
            pause = _SECONDS_AFTER_A_FAILURE
    return pause
