"""Carrying out runs: fit, publish, activate, or another kind; and record how each ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import orjson

from mlengine.core.promotion.gate import COMPARING_POLICIES, Decision
from mlengine.core.runs.progress import Progress
from mlengine.core.runs.run import Run
from mlengine.core.training.spec import TrainSpec
from mlengine.core.versions.layout import (
    BARS_FILE,
    CANDIDATE_FILE,
    HOLDOUT_FILE,
    MODEL_FILE,
    REFERENCE_FILE,
    UNIVERSE_FILE,
)
from mlengine.errors import LeaseLost, MlengineError, TrainingFailed
from mlengine.logs import log_tail
from mlengine.services.models.history import record_missing_trainings, record_training
from mlengine.services.models.service import ModelService
from mlengine.services.runs.handlers import RunHandler, RunResult
from mlengine.services.runs.lease import LEASE_SECONDS, Lease, do_nothing
from mlengine.services.training.fitting import Candidate, FittingService
from mlengine.services.training.reproduction import ReproductionService
from mlengine.stores.database.events import EventStore
from mlengine.stores.registry.registry import Registry
from mlengine.stores.runs.store import RunStore
from mlengine.stores.system import table_files

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingService:
    runs: RunStore
    events: EventStore
    fitting: FittingService
    registry: Registry
    models: ModelService
    reproduction: ReproductionService
    clock: Callable[[], datetime]

    def run(self, run_id: str, *, end_process: Callable[[], None] = do_nothing) -> str | None:
        """Carry out the run by its kind; returns the version that it published, if it did.

        `end_process` is called when the lease is lost and the work does not notice it. Raises
        what ended the run, whose record then says `failed` and why. LeaseLost means that the
        record is no longer this process's to write, and nothing was published.
        """
        if not self.runs.start(run_id, now=self.clock(), lease_seconds=LEASE_SECONDS):
            raise LeaseLost(run_id)
        run = self.runs.get(run_id, now=self.clock())
        with log_tail() as tail, self._recording_failure(run_id, tail):
            lease = Lease(self.runs, run_id, self.clock, lines=tail, end_process=end_process)
            with lease:
                result = self._handler(run.kind)(run, lease)
            self.runs.finish(
                run_id,
                state="succeeded",
                now=self.clock(),
                version=result.version,
                result=result.result,
                log=tail(),
            )
        return result.version

    def _handler(self, kind: str) -> RunHandler:
        handlers: dict[str, RunHandler] = {"train": self.train, "reproduce": self.reproduction.run}
        if kind not in handlers:
            raise TrainingFailed(f"this platform carries out no runs of kind {kind!r}")
        return handlers[kind]

    def train(self, run: Run, lease: Lease) -> RunResult:
        """Fit, publish and, when the gate says so, activate."""
        record_missing_trainings(self.registry, self.events)
        candidate = self.fitting.fit(
            TrainSpec.from_dict(orjson.loads(run.spec)),
            run_id=run.run_id,
            actor=run.actor,
            now=self.clock(),
            progress=lease.progress,
        )
        lease.progress(Progress(stage="publish", percent=99.0))
        manifest = self.registry.publish(candidate.manifest, _files(candidate), fence=lease.fence)
        now, gate = self.clock(), manifest.gate
        record_training(self.events, manifest, actor=run.actor, now=now)
        if gate.promote and self._champion_still_serves(gate):
            self.models.activate(manifest.version, actor=run.actor, reason=gate.reason, now=now)
        return RunResult(version=manifest.version)

    def _champion_still_serves(self, gate: Decision) -> bool:
        """Whether the champion that was beaten still serves: another one was not tested."""
        active = self.registry.active.read_or_none()
        serving = active.generation if active else None
        if gate.policy not in COMPARING_POLICIES or serving == gate.champion_generation:
            return True
        log.warning(
            "not activated: another version was meanwhile",
            extra={"champion": gate.champion, "active_version": active and active.version},
        )
        return False

    @contextmanager
    def _recording_failure(self, run_id: str, tail: Callable[[], Sequence[str]]) -> Iterator[None]:
        try:
            yield
        except LeaseLost:
            raise
        except BaseException as error:
            reason = str(error) if isinstance(error, MlengineError) else "internal error, see log"
            self.runs.finish(run_id, state="failed", now=self.clock(), error=reason, log=tail())
            raise


def _files(candidate: Candidate) -> dict[str, bytes]:
    """The files beside the manifest."""
    candidate_text, universe = candidate.candidate_text, candidate.universe
    return {
        MODEL_FILE: candidate.model_text.encode(),
        **({CANDIDATE_FILE: candidate_text.encode()} if candidate_text else {}),
        BARS_FILE: table_files.to_parquet(candidate.bars),
        **({UNIVERSE_FILE: universe} if universe else {}),
        REFERENCE_FILE: table_files.to_parquet(candidate.reference),
        HOLDOUT_FILE: table_files.to_parquet(candidate.holdout),
    }
