"""Keeps the run records true when the processes that worked on them have died."""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from mlengine.errors import MlengineError
from mlengine.services.audit.retention import RetentionService
from mlengine.services.runs.service import PROCESS_DIED, RunService
from mlengine.stores.registry import folders
from mlengine.stores.runs.store import RunStore

log = logging.getLogger(__name__)

_ENDED_BY_OTHERS = ("cancelled", "lost")
_TIME_TO_GO = timedelta(seconds=30)
_TIME_TO_ENQUEUE = timedelta(seconds=5)


@dataclass(frozen=True)
class RunMaintenance:
    """Ends such runs and removes what they left in the folders of lines below `artifacts_dir`.

    A failure is logged: the next try is seconds away.
    """

    runs: RunService
    store: RunStore
    retention: RetentionService
    artifacts_dir: Path
    clock: Callable[[], datetime]

    def run(self) -> None:
        """Enqueue again what the queue has lost, remove what killed trainings left."""
        with _logged():
            self.runs.restore_missing_jobs(queued_by=self.clock() - _TIME_TO_ENQUEUE)
        with _logged():
            # First: the row of a live run was there before its folder.
            for directory in folders.line_directories(self.artifacts_dir):
                half_written = folders.staged_run_ids(directory)
                if half_written:
                    folders.remove_staged(directory, half_written - self.store.unfinished_ids())
        with _logged():
            self.retention.prune_expired(now=self.clock())

    def is_over(self, run_id: str) -> bool:
        """Whether its process is to go: others ended the run, or it did, and has had time to go."""
        with _logged():
            now = self.clock()
            run = self.runs.get(run_id, now=now)
            if run.unfinished:
                return False
            if run.state in _ENDED_BY_OTHERS or run.ended_at is None:
                return True
            return now - run.ended_at > _TIME_TO_GO
        return False

    def reap(self, run_id: str, *, died: bool, reason: str = PROCESS_DIED) -> None:
        """End a run with its job, and remove what it left half written."""
        with _logged():
            version = self._published_version(run_id) if died else None
            if died:  # first, so that whoever sees the run's end sees nothing half written
                self._remove_staged({run_id})
            self.runs.fail_unfinished(
                run_id, died=died, now=self.clock(), reason=reason, version=version
            )
            self._remove_staged({run_id} - self.store.unfinished_ids())

    def _published_version(self, run_id: str) -> str | None:
        directories = folders.line_directories(self.artifacts_dir)
        found = (folders.version_published_by(each, run_id) for each in directories)
        return next((version for version in found if version is not None), None)

    def _remove_staged(self, run_ids: Collection[str]) -> None:
        for directory in folders.line_directories(self.artifacts_dir):
            folders.remove_staged(directory, run_ids)


@contextmanager
def _logged() -> Iterator[None]:
    try:
        yield
    except MlengineError as error:
        log.warning("upkeep_of_runs_failed", extra={"reason": str(error)})
