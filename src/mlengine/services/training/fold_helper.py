"""Fitting folds of a training that another process carries out."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlengine.core.runs.progress import Progress
from mlengine.core.training.fold_work import FoldWork
from mlengine.errors import LeaseLost, TrainingFailed
from mlengine.services.runs.lease import Lease, do_nothing
from mlengine.stores.system.strict_files import DamagedFile
from mlengine.stores.training.fold_files import FoldFiles
from mlengine.stores.training.fold_store import FoldClaim, FoldStore
from mlengine.stores.training.fold_work_files import dump_fitted, read_work

log = logging.getLogger(__name__)

# Shorter than that of a run: who loses a fold loses little.
FOLD_LEASE_SECONDS = 10.0


@dataclass(frozen=True)
class FoldHelper:
    """Fits one open fold of a run after the other."""

    folds: FoldStore
    files: FoldFiles
    clock: Callable[[], datetime]

    def help(
        self, run_id: str, helper: str, *, end_process: Callable[[], None] = do_nothing
    ) -> int:
        """Fit folds until none is open or the run has ended; returns how many.

        `end_process` is called when a fit is of no more use and does not notice it. Raises
        TrainingFailed where the work can't be done here: others may try.
        """
        work = self._work(run_id)
        count = 0
        while work is not None and (claim := self._claim(run_id, helper)) is not None:
            try:
                self._fit(work, claim, end_process)
            except LeaseLost:
                log.info("fold given up", extra={"run_id": run_id, "fold": claim.fold})
                break
            count += 1
        return count

    def _work(self, run_id: str) -> FoldWork | None:
        try:
            return read_work(self.files, run_id)
        except DamagedFile as damage:
            raise TrainingFailed(f"the shared rows of run {run_id} can't be read") from damage

    def _claim(self, run_id: str, helper: str) -> FoldClaim | None:
        return self.folds.claim(run_id, helper, now=self.clock(), lease_seconds=FOLD_LEASE_SECONDS)

    def _fit(self, work: FoldWork, claim: FoldClaim, end_process: Callable[[], None]) -> None:
        log.info("fold begun", extra={"run_id": claim.run_id, "fold": claim.fold})
        with Lease(
            _ClaimedFold(self.folds, claim),
            claim.run_id,
            self.clock,
            renew_seconds=FOLD_LEASE_SECONDS / 6,
            end_process=end_process,
        ) as lease:
            fitted = work.fit(claim.fold, lambda _: lease.progress(_AT_WORK))
        self.folds.finish(claim, dump_fitted(fitted))


_AT_WORK = Progress(stage="folds", percent=0.0)


@dataclass(frozen=True)
class _ClaimedFold:
    """A claim of a fold as what a Lease renews."""

    folds: FoldStore
    claim: FoldClaim

    def renew(
        self,
        run_id: str,
        *,
        now: datetime,
        lease_seconds: float,  # noqa: ARG002 - that of a run
        progress: Progress | None = None,  # noqa: ARG002 - a fold has none
        log: Sequence[str] | None = None,  # noqa: ARG002 - nor a log
    ) -> None:
        """Raises LeaseLost."""
        if not self.folds.renew(self.claim, now=now, lease_seconds=FOLD_LEASE_SECONDS):
            raise LeaseLost(run_id)

    def holds_lease(self, run_id: str, *, now: datetime) -> bool:  # noqa: ARG002
        return self.folds.is_held(self.claim, now=now)
