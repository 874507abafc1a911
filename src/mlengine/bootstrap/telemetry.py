"""Where the processes of this machine keep their counters, and what calls of others count."""

import socket
from pathlib import Path

from mlengine.config import Settings
from mlengine.core.telemetry.families import LIMITER_FALLBACKS, UPSTREAM_CALLS, UPSTREAM_FAILURES
from mlengine.stores.telemetry.counters import Counters

_REASONS = {"down": "unavailable", "degraded": "invalid"}


def counters_folder(settings: Settings) -> Path:
    """One for each machine that shares the artifacts."""
    return settings.artifacts_dir / "metrics" / (socket.gethostname() or "localhost")


def open_counters(settings: Settings) -> Counters:
    """Those of this process; nothing is written before the first count."""
    return Counters(counters_folder(settings))


def count_dependency_calls(counters: Counters, dependency: str, state: str, calls: int) -> None:
    """Calls to a dependency, by what became of them; see `DependencyStates`."""
    if dependency == "upstream":
        counters.count(UPSTREAM_CALLS).add(calls)
        if state in _REASONS:
            counters.count(UPSTREAM_FAILURES, _REASONS[state]).add(calls)
    elif dependency == "redis" and state == "degraded":
        counters.count(LIMITER_FALLBACKS).add(calls)
