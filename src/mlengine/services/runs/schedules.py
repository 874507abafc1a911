"""Scheduled trainings: one run a tick among any number of workers."""

import logging
from dataclasses import dataclass
from datetime import datetime

from mlengine.core.runs import cron
from mlengine.core.runs.schedule import ScheduleTick, Timetable
from mlengine.errors import QueueUnavailable
from mlengine.services.runs.service import RunService
from mlengine.stores.runs.rows import NewRun
from mlengine.stores.runs.schedules import ScheduleStore

ACTOR = "schedule"
_TICKS_AHEAD = 5
_NO_TICK = ScheduleTick("none", None)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScheduleService:
    """`expression` is None where nothing is scheduled."""

    store: ScheduleStore
    runs: RunService
    expression: str | None

    def tick(self, *, run_id: str, now: datetime) -> ScheduleTick:
        """Claim the newest tick that is due; several that were missed count as one.

        Nothing is due for the time before the schedule was first seen, or was changed.
        """
        if self.expression is None:
            self.store.delete_schedule()
            return _NO_TICK
        stored = self.store.read_or_forget()
        if stored is None or stored.expression != self.expression:
            self.store.set_expression(self.expression, now=now)
            return _NO_TICK
        newest = cron.newest_tick(self.expression, at=now)
        if newest <= stored.last_tick:
            return _NO_TICK
        new = NewRun(
            run_id=run_id, spec=self.runs.default_spec_text(), actor=ACTOR, request_id=None
        )
        tick = self.store.claim_tick(stored, newest, new, now=now)
        self._enqueue(tick, newest)
        return tick

    def timetable(self, *, now: datetime) -> Timetable:
        """The last tick and the next ones; the moment at which a schedule began is no tick."""
        workers = self.runs.workers()
        if self.expression is None:
            return Timetable(None, None, (), workers)
        stored = self.store.read()
        last = stored.last_tick if stored and stored.expression == self.expression else None
        if last is not None and cron.newest_tick(self.expression, at=last) != last:
            last = None
        ticks = cron.next_ticks(self.expression, after=now, count=_TICKS_AHEAD)
        return Timetable(self.expression, last, ticks, workers)

    def _enqueue(self, tick: ScheduleTick, at: datetime) -> None:
        facts = {"run_id": tick.run_id, "tick": at}
        if tick.outcome == "skipped":
            log.warning("scheduled training skipped: a run is live", extra=facts)
        if tick.outcome != "claimed" or tick.run_id is None:
            return
        log.info("scheduled training claimed", extra=facts)
        try:
            self.runs.enqueue(tick.run_id)
        except QueueUnavailable as refusal:  # the sweep of any worker enqueues it later
            log.warning("scheduled run waits for the queue", extra={"reason": str(refusal)})
