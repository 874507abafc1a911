"""The product's own stores and services, as each simulated process builds them for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine
from tests.published import SPEC, draft
from tests.simulation.database import Database
from tests.simulation.job_queue import SimulatedQueue
from tests.simulation.scheduler import Death, Process, Scheduler

from mlengine.core.promotion.gate import Decision
from mlengine.core.runs.progress import Progress
from mlengine.errors import TrainingFailed
from mlengine.services.audit.retention import RetentionService
from mlengine.services.models.maintenance import RegistryMaintenance
from mlengine.services.models.service import ModelService
from mlengine.services.runs.maintenance import RunMaintenance
from mlengine.services.runs.schedules import ScheduleService
from mlengine.services.runs.service import RunService
from mlengine.services.training.pipeline import DraftVersion
from mlengine.services.training.run_executor import RunExecutor
from mlengine.stores.audit.retention import AuditRetention
from mlengine.stores.audit.spool.spool import AuditSpool
from mlengine.stores.audit.spool.store import SpooledAuditStore
from mlengine.stores.bars.store import BarStore
from mlengine.stores.database.events import EventStore
from mlengine.stores.registry.registry import Registry
from mlengine.stores.runs.schedules import ScheduleStore
from mlengine.stores.runs.store import RunStore

CRON = "* * * * *"
_MOST_LOCK_SECONDS = 0.2  # of a process that clients wait for
_PROMOTED = Decision("always", True, "policy_always", None, {})
_KEPT_BACK = replace(_PROMOTED, policy="never", promote=False, reason="policy_never")


@dataclass(frozen=True)
class VerifyingLoader:
    """Stands for the loader, which would load a model of LightGBM after the same check."""

    registry: Registry

    def load(self, version: str) -> None:
        self.registry.verify(version)


@dataclass(frozen=True)
class PretendedTraining:
    """Stands for the pipeline: takes its time, reports, and gives small files."""

    scheduler: Scheduler

    def run(
        self,
        _spec: object,
        *,
        run_id: str,
        actor: str,
        now: datetime,
        progress: Callable[..., None],
    ) -> DraftVersion:
        chance = self.scheduler.chance
        for percent in range(0, 100, 40):
            self.scheduler.sleep(chance.choice((0.1, 0.5, 1.5)))
            progress(Progress(stage="folds", percent=float(percent), fold=percent, folds=3))
        if chance.random() < 0.1:
            raise TrainingFailed("no symbol has enough bars")
        gate = _PROMOTED if chance.random() < 0.6 else _KEPT_BACK
        manifest = draft(run_id=run_id, actor=actor, created_at=now, gate=gate)
        return DraftVersion(manifest, {"model.txt": chance.randbytes(40), "bars": b"\0\1" * 20})


class Platform:
    """The stores and services of one process; its engine is closed when the process is gone."""

    def __init__(
        self,
        process: Process,
        scheduler: Scheduler,
        database: Database,
        queue: SimulatedQueue,
        artifacts: Path,
    ) -> None:
        self.process = process
        self.scheduler = scheduler
        self.is_web = process.name.startswith("web")
        self.engine: Engine = database.open(
            most_lock_seconds=_MOST_LOCK_SECONDS if self.is_web else None
        )
        self.artifacts = artifacts
        self.registry = Registry(artifacts / "models" / "main")
        self.events = EventStore(self.engine)
        self.run_store = RunStore(self.engine)
        self.runs = RunService(self.run_store, cast("Any", queue), SPEC, 3600)
        self.audit = SpooledAuditStore(self.engine, spool=AuditSpool(artifacts / "audit-spool"))
        self.bars = BarStore(self.engine)

    def clock(self) -> datetime:
        return self.scheduler.now

    @cached_property
    def models(self) -> ModelService:
        loader = cast("Any", VerifyingLoader(self.registry))
        return ModelService(self.registry, loader, self.events)

    @cached_property
    def maintenance(self) -> RegistryMaintenance:
        return RegistryMaintenance(
            registry=self.registry, runs=self.run_store, events=self.events, audit=self.audit
        )

    @cached_property
    def run_maintenance(self) -> RunMaintenance:
        retention = RetentionService(AuditRetention(self.engine), 0)
        return RunMaintenance(self.runs, self.run_store, retention, self.artifacts, self.clock)

    @cached_property
    def schedules(self) -> ScheduleService:
        return ScheduleService(ScheduleStore(self.engine), self.runs, CRON)

    def executor(self) -> RunExecutor:
        """What carries out runs, with a training of small files."""
        return RunExecutor(
            runs=self.run_store,
            events=self.events,
            pipeline=cast("Any", PretendedTraining(self.scheduler)),
            registry=self.registry,
            models=self.models,
            reproduction=cast("Any", None),
            maintenance=self.maintenance,
            clock=self.clock,
            models_keep=self.scheduler.chance.choice((0, 0, 2)),
        )

    def end_process(self) -> None:
        self.scheduler.kill(self.process)
        raise Death

    def wait_until(self, moment: datetime) -> None:
        while self.scheduler.now < moment:
            self.scheduler.sleep((moment - self.scheduler.now) / timedelta(seconds=1))
