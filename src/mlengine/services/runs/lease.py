"""A run held by one process for as long as it shows signs of life."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from mlengine.core.runs.progress import Progress
from mlengine.errors import DatabaseUnavailable, LeaseLost

LEASE_SECONDS = 25
_REPORT_EVERY = timedelta(seconds=0.5)
_GRACE_SECONDS = 0.5

log = logging.getLogger(__name__)


def do_nothing() -> None:
    """Lets a run whose lease is lost end at its next report."""


class LeasedRecords(Protocol):
    """Where leases are written; see RunStore, whose records are runs."""

    def renew(
        self,
        run_id: str,
        *,
        now: datetime,
        lease_seconds: float,
        progress: Progress | None = None,
        log: Sequence[str] | None = None,
    ) -> None: ...

    def holds_lease(self, run_id: str, *, now: datetime) -> bool: ...


@dataclass
class Lease:
    """A run held by this process: a thread renews it, with the newest progress and log in it.

    The thread checks every `check_seconds` whether the run is still ours. Once it is not, the next
    report raises; where none comes within half a second, `end_process` is called.
    """

    store: LeasedRecords
    run_id: str
    clock: Callable[[], datetime]
    _: KW_ONLY
    renew_seconds: float = LEASE_SECONDS / 6
    check_seconds: float = 0.4
    lines: Callable[[], Sequence[str]] = tuple
    end_process: Callable[[], None] = do_nothing

    def __post_init__(self) -> None:
        self._progress = Progress(stage="starting", percent=0.0)
        self._renewed_at = self.clock()
        self._renewing = threading.Lock()
        self._lost = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._hold, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def progress(self, progress: Progress) -> None:
        """Record how far the run is; raises LeaseLost when it is no longer ours."""
        if self._lost.is_set():
            raise LeaseLost(self.run_id)
        moved_on = (progress.stage, progress.fold) != (self._progress.stage, self._progress.fold)
        self._progress = progress
        if moved_on:
            log.info("stage", extra={"stage": progress.stage, "fold": progress.fold})
        if moved_on or self.clock() - self._renewed_at >= _REPORT_EVERY:
            self.renew()

    def renew(self) -> None:
        """Renew now; raises LeaseLost."""
        # One at a time: an older progress that is written late would undo the fence.
        with self._renewing:
            self._renewed_at = self.clock()
            self.store.renew(
                self.run_id,
                now=self._renewed_at,
                lease_seconds=LEASE_SECONDS,
                progress=self._progress,
                log=self.lines(),
            )

    def fence(self) -> None:
        """Renew for the last time before publishing; from here on nobody can cancel the run.

        Raises LeaseLost, and then nothing may be published.
        """
        self._progress = replace(self._progress, stage=Progress.PUBLISHING)
        self.renew()

    def _hold(self) -> None:
        while not self._done.wait(min(self.check_seconds, self.renew_seconds)):
            try:
                self._check()
            except LeaseLost:
                self._lost.set()
                if not self._done.wait(_GRACE_SECONDS):
                    self.end_process()
                return
            except DatabaseUnavailable as error:
                # The lease outlasts a store that is locked or full for a moment.
                log.warning("lease not renewed", extra={"reason": str(error)})

    def _check(self) -> None:
        now = self.clock()
        if now - self._renewed_at >= timedelta(seconds=self.renew_seconds):
            self.renew()
        elif not self.store.holds_lease(self.run_id, now=now):
            raise LeaseLost(self.run_id)
