"""Carrying out runs: fit, publish, activate, or another kind; and record how each ended."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from mlengine.core.promotion.gate import COMPARING_POLICIES, Decision
from mlengine.core.runs.progress import Progress
from mlengine.core.runs.run import Run
from mlengine.core.training.spec import TrainSpec
from mlengine.core.versions.layout import MODEL_FILE
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import LeaseLost, MlengineError, TrainingFailed
from mlengine.logs import log_tail
from mlengine.services.models.event_recording import record_missing_trainings, record_training
from mlengine.services.models.maintenance import RegistryMaintenance
from mlengine.services.models.service import ModelService
from mlengine.services.runs.lease import LEASE_SECONDS, Lease, do_nothing
from mlengine.services.runs.trace import traced
from mlengine.services.training.pipeline import TrainingPipeline
from mlengine.services.training.reproduction import ReproductionService
from mlengine.stores.database.events import EventStore
from mlengine.stores.registry.registry import Registry
from mlengine.stores.registry.trial_load import record_loadable
from mlengine.stores.runs.store import RunStore

log = logging.getLogger(__name__)

RETENTION_ACTOR, GATE_ACTOR = "retention", "gate"


@dataclass(frozen=True)
class RunExecutor:
    runs: RunStore
    events: EventStore
    pipeline: TrainingPipeline
    registry: Registry
    models: ModelService
    reproduction: ReproductionService
    maintenance: RegistryMaintenance
    clock: Callable[[], datetime]
    models_keep: int = 0

    def execute(self, run_id: str, *, end_process: Callable[[], None] = do_nothing) -> str | None:
        """Carry out the run by its kind; returns the version that it published, if it did.

        `end_process` is called when the lease is lost and the work does not notice it. Raises
        what ended the run, whose record then says `failed` and why. LeaseLost means that the
        record is no longer this process's to write, and nothing was published.
        """
        if not self.runs.start(run_id, now=self.clock(), lease_seconds=LEASE_SECONDS):
            raise LeaseLost(run_id)
        run = self.runs.get(run_id, now=self.clock())
        with traced(run), log_tail() as tail, self._recording_failure(run_id, tail):
            lease = Lease(self.runs, run_id, self.clock, lines=tail, end_process=end_process)
            version, result = None, None
            with lease:
                if run.kind == "train":
                    version = self.train(run, lease)
                elif run.kind == "reproduce":
                    result = self.reproduction.run(run, lease)
                else:
                    raise TrainingFailed(f"this platform carries out no runs of kind {run.kind!r}")
            self.runs.finish(
                run_id,
                state="succeeded",
                now=self.clock(),
                version=version,
                result=result,
                log=tail(),
            )
        return version

    def train(self, run: Run, lease: Lease) -> str:
        """Fit, publish and, when the gate says so, activate; returns the new version."""
        self.registry.refresh()
        record_missing_trainings(self.registry, self.events)
        draft = self.pipeline.run(
            TrainSpec.from_dict(orjson.loads(run.spec)),
            run_id=run.run_id,
            actor=run.actor,
            now=self.clock(),
            progress=lease.progress,
        )
        lease.progress(Progress(stage="publish", percent=99.0))
        manifest = self.registry.publish(
            replace(draft.manifest, model=run.model), draft.files, fence=lease.fence
        )
        # The training has scored with it, so that nobody has to try it first.
        record_loadable(self.registry.directory, manifest.files[MODEL_FILE])
        now, gate = self.clock(), manifest.gate
        record_training(self.events, manifest, actor=run.actor, now=now)
        if gate.promote and self._champion_still_serves(gate):
            self._promote(manifest, run.actor, now)
        self._prune()
        return manifest.version

    def _promote(self, manifest: Manifest, actor: str, now: datetime) -> None:
        """Activate what the gate promotes; where this needs approval, the gate asks for it."""
        asks = GATE_ACTOR if self.models.needs_approval else actor
        self.models.request_activation(
            manifest.version, actor=asks, reason=manifest.gate.reason, now=now
        )

    def _prune(self) -> None:
        """Let go of old versions, 0 of them where `models_keep` is 0; a failure waits its turn."""
        if not self.models_keep:
            return
        try:
            self.maintenance.prune(
                keep=self.models_keep,
                force=False,
                dry_run=False,
                actor=RETENTION_ACTOR,
                now=self.clock(),
            )
        except MlengineError as error:
            log.warning("old versions stay", extra={"code": error.code, "reason": str(error)})

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
