"""Checks that run side by side, each for so long at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlengine.errors import AuditUnavailable, MlengineError, QueueUnavailable, UpstreamUnavailable

_OUT_OF_REACH = (AuditUnavailable, QueueUnavailable, UpstreamUnavailable)


@dataclass(frozen=True)
class Finding:
    """`status` is `ok`, `warning` or `failed`; `detail` is one line.

    `lead_seconds` is how far the clock of what was examined is ahead of this machine's.
    """

    status: str
    detail: str
    lead_seconds: float | None = None
    out_of_reach: bool = False


@dataclass(frozen=True)
class Check:
    """`examine` raises MlengineError or OSError for what is wrong, and `mend` says what to do then.

    One of another `service` than this process finds it out of reach when it takes too long.
    """

    name: str
    examine: Callable[[], Finding]
    mend: str = ""
    service: bool = False
    seconds: float = 8.0


def run_checks(checks: Sequence[Check]) -> dict[str, Finding]:
    """What each finds; one whose time is over is left behind."""
    running = [_Examination(check) for check in checks]
    for each in running:
        each.start()
    return {each.name: each.finding() for each in running}


class _Examination(threading.Thread):
    """A thread that no exit waits for, since it may hang in a call that nothing ends."""

    def __init__(self, check: Check) -> None:
        super().__init__(name=check.name, daemon=True)
        self._check = check
        self._due = time.monotonic() + check.seconds
        self._finding: Finding | None = None

    def run(self) -> None:
        try:
            self._finding = self._check.examine()
        except MlengineError as error:
            self._finding = self._failed(str(error), isinstance(error, _OUT_OF_REACH))
        except OSError as error:
            self._finding = self._failed(str(error), self._check.service)

    def finding(self) -> Finding:
        self.join(max(0.0, self._due - time.monotonic()))
        if self.is_alive():
            return self._failed(f"no answer in {self._check.seconds:g} s", self._check.service)
        return self._finding or Finding("failed", "the check itself is broken, see the traceback")

    def _failed(self, reason: str, out_of_reach: bool) -> Finding:
        detail = f"{reason}: {self._check.mend}" if self._check.mend else reason
        return Finding("failed", " ".join(detail.split()), out_of_reach=out_of_reach)
