"""Scheduled trainings: one run a tick among any number of workers."""

import logging
from dataclasses import dataclass, field
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
    """The schedule stands in the database; `configured` is what it begins with, if anything.

    `activate` is the policy of its trainings, by default that of the configured recipe.
    """

    store: ScheduleStore
    runs: RunService
    configured: str | None
    activate: str | None = None
    _reported: set[str] = field(default_factory=set, init=False, compare=False)

    def tick(self, *, run_id: str, now: datetime) -> ScheduleTick:
        """Claim the newest tick that is due; several that were missed count as one.

        Nothing is due for the time before the schedule began, or was changed.
        """
        stored = self.store.read_or_forget()
        if stored is None:
            if self.configured is not None:
                self.store.begin(self.configured, now=now)
            return _NO_TICK
        self._report_difference(stored.expression)
        if stored.expression is None:
            return _NO_TICK
        newest = cron.newest_tick(stored.expression, at=now)
        if newest <= stored.last_tick:
            return _NO_TICK
        new = NewRun(
            run_id=run_id,
            spec=self.runs.default_spec_text(activate=self.activate),
            actor=ACTOR,
            request_id=None,
        )
        tick = self.store.claim_tick(stored, newest, new, now=now)
        self._enqueue(tick, newest)
        return tick

    def set_expression(self, expression: str | None, *, actor: str, now: datetime) -> None:
        """Train by another cron expression from now on, or by none."""
        self.store.read_or_forget()
        self.store.set_expression(expression, actor=actor, now=now)

    def timetable(self, *, now: datetime) -> Timetable:
        """The last tick and the next ones; the moment at which a schedule began is no tick."""
        workers, stored = self.runs.workers(), self.store.read()
        expression = stored.expression if stored else self.configured
        if expression is None:
            return Timetable(None, None, (), workers, self.configured)
        last = stored.last_tick if stored else None
        if last is not None and cron.newest_tick(expression, at=last) != last:
            last = None
        ticks = cron.next_ticks(expression, after=now, count=_TICKS_AHEAD)
        return Timetable(expression, last, ticks, workers, self.configured)

    def _report_difference(self, expression: str | None) -> None:
        """One line for each schedule that differs from what this host was told."""
        obeyed = expression or "none"
        if self.configured in (None, expression) or obeyed in self._reported:
            return
        self._reported.add(obeyed)
        facts = {"configured": self.configured, "obeyed": obeyed}
        log.warning("TRAIN_SCHEDULE differs from the schedule in the database", extra=facts)

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
