"""What carries out a run, by its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import orjson

from mlengine.core import serialization
from mlengine.core.runs.progress import Progress
from mlengine.core.runs.run import Run
from mlengine.services.runs.lease import Lease


@dataclass(frozen=True)
class RunResult:
    """How a run ended: the version that it published, or the result of another kind."""

    version: str | None = None
    result: Mapping[str, object] | None = None


class RunHandler(Protocol):
    def __call__(self, run: Run, lease: Lease) -> RunResult:
        """Carry out `run`, reporting to `lease`; what it raises ends the run as `failed`."""


class Reproducer(Protocol):
    def reproduce(self, version: str, progress: Callable[[Progress], None]) -> object:
        """Train `version` again from its record and compare; returns a dataclass."""


@dataclass(frozen=True)
class ReproductionHandler:
    """The kind `reproduce`: its spec names a version, its result is the Reproduction."""

    reproducer: Reproducer

    def __call__(self, run: Run, lease: Lease) -> RunResult:
        version = str(orjson.loads(run.spec)["version"])
        result = serialization.to_plain(self.reproducer.reproduce(version, lease.progress))
        return RunResult(result=cast("Mapping[str, object]", result))
