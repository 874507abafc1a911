"""Keeps the run records true, whatever became of the processes that worked on them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlengine.errors import MlengineError
from mlengine.services.audit.retention import RetentionService
from mlengine.services.runs.service import DIED, RunService
from mlengine.stores.registry import folders
from mlengine.stores.runs.store import RunStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunReaper:
    """Ends what is over and clears away what it left in the folder `models`.

    A failure is logged: the next try is seconds away.
    """

    runs: RunService
    store: RunStore
    retention: RetentionService
    models: Path
    clock: Callable[[], datetime]

    def sweep(self) -> None:
        """Enqueue again what the queue has lost, clear away what killed trainings left."""
        with _logged():
            self.runs.resume_queued()
        with _logged():
            half_written = folders.staged(self.models)  # first: a live run's row was there before
            if half_written:
                folders.discard(self.models, half_written - self.store.live())
        with _logged():
            self.retention.keep_up(now=self.clock())

    def is_over(self, run_id: str) -> bool:
        """Whether the run has ended, whatever its process still does."""
        with _logged():
            return not self.runs.get(run_id, now=self.clock()).live
        return False

    def settle(self, run_id: str, *, died: bool, how: str = DIED) -> None:
        """Let a run end with its job, and what it left half written with it."""
        with _logged():
            version = folders.published_by(self.models, run_id) if died else None
            if died:  # first, so that whoever sees the run's end sees nothing half written
                folders.discard(self.models, {run_id})
            self.runs.settle(run_id, died=died, now=self.clock(), how=how, version=version)
            folders.discard(self.models, {run_id} - self.store.live())


@contextmanager
def _logged() -> Iterator[None]:
    try:
        yield
    except MlengineError as error:
        log.warning("upkeep_of_runs_failed", extra={"reason": str(error)})
