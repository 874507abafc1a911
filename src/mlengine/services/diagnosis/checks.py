"""Checks that run side by side, each for so long at most."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Thread

from mlengine.errors import (
    DatabaseUnavailable,
    MlengineError,
    QueueUnavailable,
    UpstreamUnavailable,
)

_OUT_OF_REACH = (DatabaseUnavailable, QueueUnavailable, UpstreamUnavailable)


@dataclass(frozen=True)
class Finding:
    """`status` is `ok`, `warning` or `failed`; `detail` is one line.

    `lead_seconds` is how far the clock of what was examined is ahead of this machine's.
    """

    status: str
    detail: str
    lead_seconds: float | None = None
    out_of_reach: bool = False


_BROKEN = Finding("failed", "the check itself is broken, see the traceback")


@dataclass(frozen=True)
class Check:
    """`run` raises MlengineError or OSError for what is wrong, and `remedy` says what to do then.

    One that `is_remote` asks another process or machine, which is out of reach when it takes too
    long.
    """

    name: str
    run: Callable[[], Finding]
    remedy: str = ""
    is_remote: bool = False
    seconds: float = 8.0


def run_checks(checks: Sequence[Check]) -> dict[str, Finding]:
    """What each finds; one whose time is over is left behind, and no exit waits for it."""
    findings = {check.name: _BROKEN for check in checks}
    threads = [Thread(target=_examine, args=(check, findings), daemon=True) for check in checks]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for check, thread in zip(checks, threads, strict=True):
        thread.join(max(0.0, begun + check.seconds - time.monotonic()))
        if thread.is_alive():
            reason = f"no answer in {check.seconds:g} s"
            findings[check.name] = _failed(check, reason, out_of_reach=check.is_remote)
    return dict(findings)


def _examine(check: Check, findings: dict[str, Finding]) -> None:
    try:
        findings[check.name] = check.run()
    except MlengineError as error:
        out_of_reach = isinstance(error, _OUT_OF_REACH)
        findings[check.name] = _failed(check, str(error), out_of_reach=out_of_reach)
    except OSError as error:
        findings[check.name] = _failed(check, str(error), out_of_reach=check.is_remote)


def _failed(check: Check, reason: str, *, out_of_reach: bool) -> Finding:
    detail = f"{reason}: {check.remedy}" if check.remedy else reason
    return Finding("failed", " ".join(detail.split()), out_of_reach=out_of_reach)
