"""Whether the workers of a fit are still there, and an end for those that wait for a dead one."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlengine.errors import TrainingFailed

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_A_LOOK = 5.0
_RESTART_SECONDS = 30.0


@dataclass
class ClusterWatch:
    """The workers of one fit, from `begin` on."""

    client: Client
    silence_seconds: float
    workers: tuple[str, ...] = field(default=(), init=False)
    _heard_at: float = field(default=0.0, init=False)
    _looked_at: float = field(default=0.0, init=False)

    def begin(self, *, wait_seconds: float) -> None:
        """Take in the workers there are; raises TrainingFailed where there are none."""
        try:
            self.client.wait_for_workers(1, timeout=wait_seconds)
        except TimeoutError as error:
            raise TrainingFailed(
                f"the Dask cluster has no workers, for {wait_seconds:g} s"
            ) from error
        self.workers = tuple(sorted(self.client.nthreads()))
        self._heard_at = self._looked_at = time.monotonic()

    def look(self) -> None:
        """Raises TrainingFailed once a worker is gone, or the scheduler has long said nothing."""
        now = time.monotonic()
        if now - self._looked_at < _SECONDS_BETWEEN_LOOKS:
            return
        there = self._there()
        self._looked_at = time.monotonic()
        if there is not None:
            self._heard_at = self._looked_at
            if gone := sorted(set(self.workers) - there):
                raise TrainingFailed(
                    f"the Dask cluster lost {len(gone)} of {len(self.workers)} workers during the"
                    f" fit ({', '.join(gone)}): its memory limit, or its host"
                )
        elif self._looked_at - self._heard_at > self.silence_seconds:
            raise TrainingFailed(
                f"the Dask scheduler has said nothing for {self.silence_seconds:g} s"
            )

    def _there(self) -> frozenset[str] | None:
        """The workers that the scheduler knows; None where it does not answer."""
        try:
            return frozenset(self.client.nthreads(callback_timeout=_SECONDS_A_LOOK))
        except (OSError, TimeoutError):
            return None


def end_fits(client: Client, *, grace_seconds: float) -> None:
    """Start the workers anew that are at a fit of this client after the grace; logs a failure.

    LightGBM can't be interrupted, and may wait for a worker that is no more.
    """
    ends_at = time.monotonic() + grace_seconds
    try:
        while (at_work := _at_work(client)) and time.monotonic() < ends_at:
            time.sleep(_SECONDS_BETWEEN_LOOKS / 10)
        if at_work:
            log.warning("workers started anew", extra={"workers": at_work})
            client.restart_workers(at_work, timeout=_RESTART_SECONDS, raise_for_error=False)
    except (OSError, TimeoutError, ValueError) as error:
        log.warning("workers may still be at a fit", extra={"reason": str(error)})


def _at_work(client: Client) -> list[str]:
    """The workers that are at a task of this client."""
    scheduler = client.scheduler
    if scheduler is None:  # never connected
        return []
    processing = client.sync(scheduler.processing, workers=None, callback_timeout=_SECONDS_A_LOOK)
    ours = set(client.futures)
    return [worker for worker, keys in processing.items() if not ours.isdisjoint(keys)]
