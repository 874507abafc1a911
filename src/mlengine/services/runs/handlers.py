"""What carries out a run, by its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mlengine.core.runs.run import Run
from mlengine.services.runs.lease import Lease


@dataclass(frozen=True)
class RunResult:
    """How a run ended: the version that it published, or the result of another kind."""

    version: str | None = None
    result: Mapping[str, object] | None = None


# Reports to the lease; what it raises ends the run as `failed`.
RunHandler = Callable[[Run, Lease], RunResult]
