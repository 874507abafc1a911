"""Trainings that monitoring asks for: one for an alarm, and then none for some days."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mlengine.core.runs.retraining import TRIGGERS, RetrainingTick, RetrainReason
from mlengine.errors import QueueUnavailable
from mlengine.services.runs.service import RunService
from mlengine.stores.runs.retrainings import RetrainingStore
from mlengine.stores.runs.rows import NewRun, to_json

ACTOR = "monitoring"
_NOTHING = RetrainingTick("none")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetrainingService:
    """`reasons` is empty where no event asks for a training.

    `active_version` is the one that serves: an alarm about another one asks for nothing.
    """

    store: RetrainingStore
    runs: RunService
    reasons: tuple[RetrainReason, ...]
    cooldown: timedelta
    active_version: Callable[[], str | None]

    def tick(self, *, run_id: str, now: datetime) -> RetrainingTick:
        """Ask for a training where an event has come that wants one; several count as one.

        Nothing is asked for by events before the first tick. While a run lives it waits.
        """
        if not self.reasons:
            self.store.end()
            return _NOTHING
        state = self.store.read()
        if state is None:
            self.store.begin()
            return _NOTHING
        kinds = [TRIGGERS[reason] for reason in self.reasons]
        trigger = self.store.newest_trigger(kinds, after=state.event_seq)
        if trigger is None:
            return _NOTHING
        reason = self._reason_against(trigger.version, state.requested_at, now)
        if reason is not None:
            return self.store.pass_over(state, trigger, reason=reason, actor=ACTOR, now=now)
        if self.store.live_run() is not None:
            return RetrainingTick("waiting")
        new = NewRun(run_id=run_id, spec=self._spec_text(), actor=ACTOR, request_id=None)
        tick = self.store.claim(state, trigger, new, now=now)
        self._enqueue(tick, trigger.kind)
        return tick

    def _reason_against(
        self, version: str | None, requested_at: datetime | None, now: datetime
    ) -> str | None:
        if version is not None and version != self.active_version():
            return "not_active"
        is_soon = requested_at is not None and now < requested_at + self.cooldown
        return "cooldown" if is_soon else None

    def _spec_text(self) -> str:
        """The configured recipe; what comes of it serves where it is not worse."""
        spec = self.runs.defaults
        activate = "never" if spec.activate == "never" else "if_not_worse"
        return to_json(replace(spec, activate=activate).to_dict())

    def _enqueue(self, tick: RetrainingTick, kind: str) -> None:
        if tick.run_id is None:
            return
        log.info("training requested by monitoring", extra={"run_id": tick.run_id, "kind": kind})
        try:
            self.runs.enqueue(tick.run_id)
        except QueueUnavailable as refusal:  # the sweep of any worker enqueues it later
            log.warning("requested run waits for the queue", extra={"reason": str(refusal)})
