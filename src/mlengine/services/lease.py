"""A run held by one process for as long as it shows signs of life."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from mlengine.core.progress import Progress
from mlengine.errors import AuditUnavailable, LeaseLost
from mlengine.stores.runs import RunStore

LEASE_SECONDS = 30
_WRITE_EVERY = timedelta(seconds=0.5)

log = logging.getLogger(__name__)


class Lease:
    """A run held by this process: renewed from a thread, with the newest progress in it."""

    def __init__(
        self,
        runs: RunStore,
        run_id: str,
        clock: Callable[[], datetime],
        *,
        renew_seconds: float = LEASE_SECONDS / 6,
    ) -> None:
        self._runs = runs
        self._run_id = run_id
        self._clock = clock
        self._renew_seconds = renew_seconds
        self._progress = Progress(stage="starting", percent=0.0)
        self._written_at = clock()
        self._lost = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def progress(self, progress: Progress) -> None:
        """Take note of how far the run is; raises LeaseLost when it is no longer ours."""
        if self._lost.is_set():
            raise LeaseLost(self._run_id)
        moved_on = (progress.stage, progress.fold) != (self._progress.stage, self._progress.fold)
        self._progress = progress
        if moved_on or self._clock() - self._written_at >= _WRITE_EVERY:
            self.confirm()

    def confirm(self) -> None:
        """Renew now; raises LeaseLost. Whoever publishes asks this last."""
        self._written_at = self._clock()
        self._runs.renew(
            self._run_id,
            now=self._written_at,
            lease_seconds=LEASE_SECONDS,
            progress=self._progress,
        )

    def _keep(self) -> None:
        while not self._done.wait(self._renew_seconds):
            try:
                self.confirm()
            except LeaseLost:
                self._lost.set()
                return
            except AuditUnavailable as error:
                # The lease outlasts a store that is locked or full for a moment.
                log.warning("lease not renewed", extra={"reason": str(error)})
