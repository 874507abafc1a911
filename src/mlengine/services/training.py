"""Carrying out a training run: fit, publish, activate, and leave an honest record."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import orjson

from mlengine.core.manifest import Manifest
from mlengine.core.progress import Progress
from mlengine.core.train_spec import TrainSpec
from mlengine.errors import LeaseLost, MlengineError
from mlengine.services.fitting import Candidate, FittingService
from mlengine.services.history import record_training
from mlengine.services.lease import LEASE_SECONDS, Lease
from mlengine.services.models import ModelService
from mlengine.stores import frames
from mlengine.stores.events import EventStore
from mlengine.stores.registry import Registry
from mlengine.stores.runs import RunStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingService:
    runs: RunStore
    events: EventStore
    fitting: FittingService
    registry: Registry
    models: ModelService
    clock: Callable[[], datetime]

    def run(self, run_id: str) -> str:
        """Train, publish and, when the gate says so, activate; returns the version.

        Raises what ended the run, whose record then says `failed` and why. LeaseLost means that
        the record is no longer this process's to write, and nothing was published.
        """
        if not self.runs.start(run_id, now=self.clock(), lease_seconds=LEASE_SECONDS):
            raise LeaseLost(run_id)
        run = self.runs.get(run_id, now=self.clock())
        with self._recorded(run_id), Lease(self.runs, run_id, self.clock) as lease:
            candidate = self.fitting.fit(
                TrainSpec.from_dict(orjson.loads(run.spec)),
                run_id=run_id,
                actor=run.actor,
                now=self.clock(),
                progress=lease.progress,
            )
            lease.progress(Progress(stage="publish", percent=99.0))
            manifest = self.registry.publish(
                candidate.manifest, _files(candidate), fence=lease.confirm
            )
            self._announce(manifest, run.actor)
            lease.progress(Progress(stage="done", percent=100.0))
        self.runs.finish(run_id, state="succeeded", now=self.clock(), version=manifest.version)
        return manifest.version

    def _announce(self, manifest: Manifest, actor: str) -> None:
        now = self.clock()
        record_training(self.events, manifest, actor=actor, now=now)
        gate = manifest.gate
        if gate.promote:
            self.models.activate(manifest.version, actor=actor, reason=gate.reason, now=now)

    @contextmanager
    def _recorded(self, run_id: str) -> Iterator[None]:
        try:
            yield
        except LeaseLost:
            raise
        except BaseException as error:
            reason = str(error) if isinstance(error, MlengineError) else "internal error, see log"
            self.runs.finish(run_id, state="failed", now=self.clock(), error=reason)
            raise


def _files(candidate: Candidate) -> dict[str, bytes]:
    """What stands beside the manifest."""
    candidate_text, universe = candidate.candidate_text, candidate.universe
    return {
        "model.txt": candidate.model_text.encode(),
        **({"candidate.txt": candidate_text.encode()} if candidate_text else {}),
        "bars.parquet": frames.to_parquet(candidate.bars),
        **({"universe.csv": universe} if universe else {}),
        "reference.parquet": frames.to_parquet(candidate.reference),
        "holdout.parquet": frames.to_parquet(candidate.holdout),
    }
