"""The monitoring update: what the audit and the bars bring, taken in by one process at a time."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mlengine.errors import DatabaseUnavailable, MlengineError
from mlengine.stores.monitoring.update_lease import UpdateLease

log = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
_RENEWALS_IN_A_LEASE = 4


class UpdateStep(Protocol):
    """One thing that is kept up to date.

    A step may run twice over the same rows, and may be killed at any instant: it writes what it
    takes in, and how far it got, in one transaction.
    """

    @property
    def name(self) -> str: ...

    def run(self, now: datetime) -> datetime | None:
        """Take in what has come; returns when to look again where no row comes, if ever."""


@dataclass(frozen=True)
class StepOfLine:
    """A step for a model line beside `main`, told by its name."""

    line: str
    step: UpdateStep

    @property
    def name(self) -> str:
        return f"{self.line}/{self.step.name}"

    def run(self, now: datetime) -> datetime | None:
        """As that of the step."""
        return self.step.run(now)


@dataclass(frozen=True)
class StepReport:
    """`failure` is the reason of one that failed, None of one that went well."""

    name: str
    seconds: float
    failure: str | None
    next_look: datetime | None


@dataclass(frozen=True)
class UpdateReport:
    """`ran` is false where another process was at it."""

    ran: bool
    steps: tuple[StepReport, ...]

    @property
    def has_failed(self) -> bool:
        return any(step.failure is not None for step in self.steps)


@dataclass(frozen=True)
class MonitoringUpdates:
    """Runs the steps in their order; the failure of one is logged and does not end the others."""

    steps: tuple[UpdateStep, ...]
    lease: UpdateLease
    clock: Callable[[], datetime]
    new_holder: Callable[[], str]

    def run(self, now: datetime) -> UpdateReport:
        """Take in everything that has come until `now`, or nothing where another process does.

        Raises DatabaseUnavailable.
        """
        holder = self.new_holder()
        position = self.lease.acquire(holder, now=now, lease_seconds=LEASE_SECONDS)
        if position is None:
            return UpdateReport(ran=False, steps=())
        reports: list[StepReport] = []
        try:
            with self._kept(holder) as lost:
                self._run_steps(now, lost, reports)
        finally:
            report = UpdateReport(ran=True, steps=tuple(reports))
            is_whole = len(reports) == len(self.steps) and not report.has_failed
            looks = [step.next_look for step in reports if step.next_look is not None]
            self.lease.release(
                holder,
                taken_in=position if is_whole else None,
                next_look=min(looks, default=None),
            )
        return report

    def _run_steps(self, now: datetime, lost: threading.Event, reports: list[StepReport]) -> None:
        """Every step, also after one that crashed, whose exception is raised at the end."""
        with ExitStack() as steps:
            for step in reversed(self.steps):
                steps.callback(self._run_step, step, now, lost, reports)

    def _run_step(
        self, step: UpdateStep, now: datetime, lost: threading.Event, reports: list[StepReport]
    ) -> None:
        if lost.is_set():
            return
        begun, failure, next_look = self.clock(), None, None
        try:
            next_look = step.run(now)
        except MlengineError as error:
            failure = str(error)
            facts = {"step": step.name, "code": error.code, "reason": failure}
            log.warning("monitoring_step_failed", extra=facts)
        seconds = (self.clock() - begun).total_seconds()
        reports.append(StepReport(step.name, seconds, failure, next_look))

    @contextmanager
    def _kept(self, holder: str) -> Iterator[threading.Event]:
        """Renew the lease for as long as the block takes; the event says that it was lost."""
        lost, done = threading.Event(), threading.Event()
        keeper = threading.Thread(
            target=self._keep, args=(holder, lost, done), name="monitoring-lease", daemon=True
        )
        keeper.start()
        try:
            yield lost
        finally:
            done.set()
            keeper.join()

    def _keep(self, holder: str, lost: threading.Event, done: threading.Event) -> None:
        while not done.wait(LEASE_SECONDS / _RENEWALS_IN_A_LEASE):
            try:
                if not self.lease.renew(holder, now=self.clock(), lease_seconds=LEASE_SECONDS):
                    lost.set()
                    return
            except DatabaseUnavailable as error:
                log.warning("monitoring_lease_not_renewed", extra={"reason": str(error)})
