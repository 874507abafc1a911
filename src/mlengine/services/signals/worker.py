"""One worker's part in the scoring: plans what is final, and takes slices until none is due."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from mlengine.core.signals.signal import Slice
from mlengine.errors import DatabaseUnavailable, MlengineError
from mlengine.services.signals.lease import LEASE_SECONDS, kept
from mlengine.services.signals.scoring import SliceScorer
from mlengine.stores.signals.plans import SignalPlans
from mlengine.stores.signals.store import SliceLost

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SignalWorker:
    """`scorers` are of the lines that are scored, by name; `holder` is this worker's own word."""

    scorers: Callable[[], Mapping[str, SliceScorer]]
    plans: SignalPlans
    clock: Callable[[], datetime]
    holder: str

    def work(self) -> int:
        """Plan, and score slices until no more is due; returns how many. Raises what ends it."""
        scorers, count = self.scorers(), 0
        if not scorers:
            return 0
        for line, scorer in scorers.items():
            try:
                scorer.planner.plan(now=self.clock())
            except DatabaseUnavailable:
                raise
            except MlengineError as error:
                log.debug("line not scored", extra={"line": line, "code": error.code})
        while held := self._claim(scorers):
            with kept(partial(self._renew, held)):
                try:
                    scorers[held.bar.model].score(held)
                except SliceLost:
                    facts = {"line": held.bar.model, "slice": held.number}
                    log.warning("slice scored by another worker", extra=facts)
            count += 1
        return count

    def _claim(self, scorers: Mapping[str, SliceScorer]) -> Slice | None:
        return self.plans.claim(
            self.holder, models=scorers.keys(), now=self.clock(), lease_seconds=LEASE_SECONDS
        )

    def _renew(self, held: Slice) -> bool:
        return self.plans.renew(held, now=self.clock(), lease_seconds=LEASE_SECONDS)
