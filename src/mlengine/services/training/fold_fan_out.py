"""A training whose folds other workers fit, too; it alone gathers, decides and publishes.

    bars, features, rows ─▶ binned rows ──▶ files ──▶ helpers on any host, a fold at a time
                                 │                         │ models
                                 ▼                         ▼
                    the candidate, then open folds ──▶ all folds ──▶ metrics, gate, version

With the binned rows a helper needs neither bars nor features, and fits the same trees.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from mlengine.core.boosting.model import FittedModel
from mlengine.core.runs.progress import ProgressTracker
from mlengine.core.training.fold_work import FoldWork
from mlengine.errors import MlengineError
from mlengine.services.runs.fold_helpers import FoldHelpers
from mlengine.stores.system.strict_files import DamagedFile
from mlengine.stores.training.fold_work_files import parse_fitted, write_work

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.1
# The training's own claims end with it.
_LEASE_SECONDS = 30 * 86_400.0


@dataclass
class RunFanOut:
    """The folds of one run, which calls `helpers_wanted` helpers."""

    helpers: FoldHelpers
    run_id: str
    helpers_wanted: int
    clock: Callable[[], datetime]
    _is_alone: bool = field(default=False, init=False)

    def begin(self, work: FoldWork) -> None:
        """Share the work and call helpers; where that fails, this process fits the folds alone."""
        try:
            self.helpers.folds.open(self.run_id, len(work.folds))
            write_work(self.helpers.files, self.run_id, work)
            self.helpers.call(self.run_id, self.helpers_wanted)
        except MlengineError as error:
            _log("folds not shared", error)
            self._is_alone = True

    def gather(self, work: FoldWork, tracker: ProgressTracker) -> Iterator[tuple[int, FittedModel]]:
        """See FoldFanOut; what `tracker` raises ends the waiting and the fits."""
        missing = set(range(1, len(work.folds) + 1))
        while missing:
            for fold, fitted in self._found(work, missing, tracker).items():
                missing.remove(fold)
                done = 1 - len(missing) / len(work.folds)
                tracker.advance("fit", done=done, fold=fold, folds=len(work.folds))
                yield fold, fitted

    def _found(
        self, work: FoldWork, missing: set[int], tracker: ProgressTracker
    ) -> dict[int, FittedModel]:
        """What helpers have done meanwhile; else a fold that is open, or nothing after a while."""
        fold = max(missing)
        if not self._is_alone:
            try:
                done = self._done(set(range(1, len(work.folds) + 1)) - missing)
                if done:
                    return done
                fold = self._claim()
            except (MlengineError, DamagedFile) as error:
                _log("folds not read", error)
        if fold in missing:
            return {fold: work.fit(fold, lambda _: tracker.repeat())}
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        tracker.repeat()
        return {}

    def _done(self, known: set[int]) -> dict[int, FittedModel]:
        done = self.helpers.folds.results(self.run_id, beside=known)
        return {fold: parse_fitted(result) for fold, result in done.items()}

    def _claim(self) -> int:
        """An open fold; 0 where there is none."""
        claim = self.helpers.folds.claim(
            self.run_id, self.run_id, now=self.clock(), lease_seconds=_LEASE_SECONDS, helps=False
        )
        return claim.fold if claim else 0


def _log(what: str, error: Exception) -> None:
    log.warning(what, extra={"reason": str(error)})


@dataclass(frozen=True)
class TrainingFanOut:
    """Shares the folds of trainings with other workers, where there are any."""

    helpers: FoldHelpers
    clock: Callable[[], datetime]

    @contextmanager
    def of_run(self, run_id: str, folds: int) -> Iterator[RunFanOut | None]:
        """None where nobody could help; nothing of it is left at the end of the block."""
        try:
            wanted = self.helpers.count(folds)
        except MlengineError as error:
            _log("folds not shared", error)
            wanted = 0
        if not wanted:
            yield None
            return
        try:
            yield RunFanOut(self.helpers, run_id, wanted, self.clock)
        finally:
            self.helpers.end(run_id, folds)
