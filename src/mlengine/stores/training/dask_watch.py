"""Whether the workers of a fit are still there, and an end for those that wait for a dead one."""

from __future__ import annotations

import logging
import time
from collections.abc import Set
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING

import lightgbm as lgb

from mlengine.errors import TrainingFailed

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_A_LOOK = 5.0
_RESTART_SECONDS = 30.0
_SAME = "lightgbm"
_PACKAGES = (_SAME, "scikit-learn")


@dataclass
class ClusterWatch:
    """The workers of one fit, from `begin` on; `keys` are those of its tasks and data."""

    client: Client
    silence_seconds: float
    workers: tuple[str, ...] = field(default=(), init=False)
    keys: set[object] = field(default_factory=set, init=False)
    _heard_at: float = field(default=0.0, init=False)
    _looked_at: float = field(default=0.0, init=False)

    def begin(self, *, wait_seconds: float) -> None:
        """Take in the workers there are.

        Raises TrainingFailed where there are none, or one that lacks what a fit needs.
        """
        try:
            self.client.wait_for_workers(1, timeout=wait_seconds)
        except TimeoutError as error:
            raise TrainingFailed(
                f"the Dask cluster has no workers, for {wait_seconds:g} s"
            ) from error
        self.workers = tuple(sorted(self.client.nthreads()))
        _require_packages(self.client)
        self._heard_at = self._looked_at = time.monotonic()

    def look(self) -> None:
        """Raises TrainingFailed once a worker is gone, or the scheduler has long said nothing."""
        self.keys.update(list(self.client.futures))
        if time.monotonic() - self._looked_at < _SECONDS_BETWEEN_LOOKS:
            return
        there = self._there()
        self._looked_at = time.monotonic()
        if there is not None:
            self._heard_at = self._looked_at
            self._require_workers(there)
        elif self._looked_at - self._heard_at > self.silence_seconds:
            raise TrainingFailed(
                f"the Dask scheduler has said nothing for {self.silence_seconds:g} s"
            )

    def explain_failure(self) -> None:
        """Raises TrainingFailed where a fit failed since scheduler or workers are gone."""
        there = self._there()
        if there is None:
            raise TrainingFailed("the Dask scheduler does not answer any more")
        self._require_workers(there)

    def _require_workers(self, there: Set[str]) -> None:
        if gone := sorted(set(self.workers) - there):
            raise TrainingFailed(
                f"the Dask cluster lost {len(gone)} of {len(self.workers)} workers during the fit"
                f" ({', '.join(gone)}): its memory limit, or its host"
            )

    def _there(self) -> frozenset[str] | None:
        """The workers that the scheduler knows; None where it does not answer."""
        try:
            return frozenset(self.client.nthreads(callback_timeout=_SECONDS_A_LOOK))
        except (OSError, TimeoutError):
            return None


def _require_packages(client: Client) -> None:
    """Raises TrainingFailed for a worker that lacks a package, or has another LightGBM."""
    for name in _PACKAGES:
        for worker, found in sorted(client.run(version, name, on_error="return").items()):
            if isinstance(found, Exception):
                raise TrainingFailed(f"the worker {worker} of the Dask cluster has no {name}")
            if name == _SAME and found != lgb.__version__:
                raise TrainingFailed(
                    f"the worker {worker} of the Dask cluster has {name} {found},"
                    f" and the training {lgb.__version__}"
                )


def end_fits(client: Client, keys: Set[object], *, grace_seconds: float) -> None:
    """Start the workers anew that are at one of these tasks after the grace; logs a failure.

    LightGBM can't be interrupted, and may wait for a worker that is no more.
    """
    ends_at = time.monotonic() + grace_seconds
    try:
        while (at_work := _at_work(client, keys)) and time.monotonic() < ends_at:
            time.sleep(_SECONDS_BETWEEN_LOOKS / 10)
        if at_work:
            log.warning("workers started anew", extra={"workers": at_work})
            client.restart_workers(at_work, timeout=_RESTART_SECONDS, raise_for_error=False)
    except (OSError, TimeoutError, ValueError) as error:
        log.warning("workers may still be at a fit", extra={"reason": str(error)})


def _at_work(client: Client, keys: Set[object]) -> list[str]:
    """The workers one of whose threads is at one of these tasks, whatever the scheduler thinks.

    It forgets tasks whose data are lost, while LightGBM goes on with them.
    """
    scheduler = client.scheduler
    if scheduler is None or not keys:
        return []
    stacks = client.sync(scheduler.call_stack, keys=None, callback_timeout=_SECONDS_A_LOOK)
    return [worker for worker, tasks in stacks.items() if not keys.isdisjoint(tasks)]
