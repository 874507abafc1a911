"""One worker's part in the scoring: plans what is final, and takes slices until none is due."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from mlengine.core.signals.signal import Slice
from mlengine.errors import DatabaseUnavailable, MlengineError
from mlengine.services.signals.scoring import SliceScorer
from mlengine.stores.signals.plans import SignalPlans
from mlengine.stores.signals.store import SliceLost

log = logging.getLogger(__name__)

# So long a slice of a worker that was killed waits for another one.
LEASE_SECONDS = 10.0
_RENEWALS_IN_A_LEASE = 4


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
            with self._kept(held):
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

    @contextmanager
    def _kept(self, held: Slice) -> Iterator[None]:
        """Renew the lease for as long as the block takes."""
        done = threading.Event()
        keeper = threading.Thread(
            target=self._keep, args=(held, done), name="slice-lease", daemon=True
        )
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()

    def _keep(self, held: Slice, done: threading.Event) -> None:
        while not done.wait(LEASE_SECONDS / _RENEWALS_IN_A_LEASE):
            try:
                if not self.plans.renew(held, now=self.clock(), lease_seconds=LEASE_SECONDS):
                    return
            except DatabaseUnavailable as error:
                log.warning("slice_lease_not_renewed", extra={"reason": str(error)})
