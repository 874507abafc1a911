"""The jobs by which other workers help a training with its folds; loads nothing heavy."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from mlengine.errors import MlengineError
from mlengine.stores.queue.jobs import JobQueue
from mlengine.stores.runs.store import RunStore
from mlengine.stores.training.fold_files import FoldFiles
from mlengine.stores.training.fold_store import FoldStore, SharedTraining

log = logging.getLogger(__name__)

_INFIX = "-folds-"


@dataclass(frozen=True)
class FoldHelpers:
    """One training has `most_workers` at most, its own one included; 0 is as many as there are."""

    runs: RunStore
    folds: FoldStore
    files: FoldFiles
    queue: JobQueue
    most_workers: int
    timeout_seconds: int
    clock: Callable[[], datetime]

    def count(self, folds: int) -> int:
        """How many others can help with so many folds; raises QueueUnavailable."""
        workers = self.queue.workers()
        most = min(self.most_workers, workers) if self.most_workers else workers
        return max(0, min(most - 1, folds))

    def call(self, run_id: str, count: int) -> None:
        """Put the jobs of so many helpers in the queue that are not there."""
        for job_id in _job_ids(run_id, count):
            if not self.queue.has_job(job_id):
                self.queue.enqueue_helper(run_id, job_id, timeout_seconds=self.timeout_seconds)

    def end(self, run_id: str, folds: int) -> None:
        """Leave nothing of a training that no longer shares its folds.

        Helpers that work find that out by themselves.
        """
        with _logged():
            self.files.remove(run_id)
            self.folds.close(run_id)
        with _logged():
            for job_id in _job_ids(run_id, folds):
                self.queue.remove_job(job_id, only_waiting=True)

    def has_work(self, run_id: str) -> bool:
        """Whether a helper could claim a fold of the run; raises DatabaseUnavailable."""
        shared = self.folds.shared(now=self.clock())
        return any(each.run_id == run_id and each.open_folds for each in shared)

    def release(self, helper: str) -> None:
        """Let others fit at once what a helper that died has not finished."""
        with _logged():
            self.folds.release(helper)

    def look_after(self) -> None:
        """Call helpers again where some died, and remove what dead trainings left."""
        with _logged():
            now = self.clock()
            shared = self.folds.shared(now=now)
            for each in shared:
                self._look_after(each)
            left = self.files.left_here() - {each.run_id for each in shared}
            for run_id in left - self.runs.unfinished_ids() if left else ():
                self.files.remove(run_id)

    def _look_after(self, training: SharedTraining) -> None:
        if not training.is_running:
            self.end(training.run_id, training.folds)
        elif training.open_folds:
            self.call(training.run_id, self.count(training.open_folds))


def helped_run(job_id: str) -> str | None:
    """The run that the job is a helper of; None for the job of a run itself."""
    run_id, infix, _ = job_id.rpartition(_INFIX)
    return run_id if infix else None


def _job_ids(run_id: str, count: int) -> list[str]:
    return [f"{run_id}{_INFIX}{number}" for number in range(1, count + 1)]


@contextmanager
def _logged() -> Iterator[None]:
    """The next look is seconds away."""
    try:
        yield
    except MlengineError as error:
        log.warning("helpers_not_looked_after", extra={"reason": str(error)})
