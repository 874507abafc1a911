"""The control plane: requests trainings and reads how they go.

It needs neither Polars nor LightGBM, so that the worker process, which only spawns the trainings,
stays small.
"""

from __future__ import annotations

import logging
import random
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import Engine

from mlengine.bootstrap import ENTRY_POINT_GROUP, training
from mlengine.bootstrap.host_offers import build_host_offers
from mlengine.bootstrap.registry import RegistryOpener, hold_to_database, open_bucket
from mlengine.config import Settings
from mlengine.core.versions.layout import ACTIVE_FILE
from mlengine.errors import DatabaseUnavailable, MlengineError, TrainingInProgress
from mlengine.services.audit.retention import RetentionService
from mlengine.services.hooks.delivery import DeliveryService
from mlengine.services.hooks.service import HookService
from mlengine.services.lines.service import LineService
from mlengine.services.runs.fold_helpers import FoldHelpers
from mlengine.services.runs.maintenance import RunMaintenance
from mlengine.services.runs.retraining import RetrainingService
from mlengine.services.runs.schedules import ScheduleService
from mlengine.services.runs.service import RunRequest, RunService
from mlengine.stores.audit.prediction_reader import PredictionReader
from mlengine.stores.audit.retention import AuditRetention
from mlengine.stores.database.archive.files import AuditArchive, give_archive
from mlengine.stores.database.clock import DatabaseClock
from mlengine.stores.database.engine import (
    is_missing,
    open_database,
    reading,
    schema_is_current,
    schema_revision,
)
from mlengine.stores.database.events import EventStore
from mlengine.stores.database.outbox import Outbox
from mlengine.stores.database.tables import REVISION
from mlengine.stores.hooks.delivery_store import DeliveryStore
from mlengine.stores.hooks.hook_store import HookStore
from mlengine.stores.hooks.sender import HookSender
from mlengine.stores.lines.folder import LineFolder
from mlengine.stores.monitoring.update_lease import UpdateLease
from mlengine.stores.queue.jobs import JobQueue, open_queue
from mlengine.stores.registry.active import ActiveFile
from mlengine.stores.registry.folders import published_versions, versions_directory
from mlengine.stores.runs.store import RunStore
from mlengine.stores.signals.exports import ExportStore
from mlengine.stores.signals.plans import SignalPlans

if TYPE_CHECKING:
    from mlengine.services.models.integrity import IntegrityVerifier
    from mlengine.services.telemetry.latencies import LatencyService

log = logging.getLogger(__name__)

_BUILT_IN = "core"


@dataclass(frozen=True)
class ControlPlane:
    """Every use case that works without bars and models in memory."""

    database_url: str
    database: Engine
    models_directory: Path
    queue: JobQueue
    run_store: RunStore
    runs: RunService
    run_maintenance: RunMaintenance
    fold_helpers: FoldHelpers
    schedules: ScheduleService
    events: EventStore
    retraining: RetrainingService
    outbox: Outbox
    hooks: HookService
    hook_deliveries: DeliveryService
    active: ActiveFile
    retention: RetentionService
    update_lease: UpdateLease
    predictions: PredictionReader
    activation_approvals: bool
    clock: DatabaseClock
    open_registry: RegistryOpener
    signal_plans: SignalPlans
    signal_exports: ExportStore
    lines: LineService
    line_files: LineFolder

    def migrate_and_backfill(self) -> None:
        """Bring the database to the newest schema, and its history to what `ACTIVE` says.

        Raises CannotStart, DatabaseUnavailable or ArtifactCorrupt.
        """
        from mlengine.services.models.event_recording import (  # noqa: PLC0415 - as integrity
            record_missing_activation,
        )

        if not self._schema_is_current():
            from mlengine.stores.database.migrate import migrate  # noqa: PLC0415 - Alembic, rarely

            migrate(self.database_url)
        self.refuse_other_registry()
        record_missing_activation(self.active, self.events)
        self.take_line_files()
        for line in self.lines.store.read_all():
            active = ActiveFile(self.models_directory.parent / line.name / ACTIVE_FILE)
            record_missing_activation(active, EventStore(self.database, line.name))

    def take_line_files(self) -> tuple[str, ...]:
        """Take in the files of model lines; returns the names of those that say something new.

        Raises RefusedLineFiles, or DatabaseUnavailable.
        """
        return self.lines.take_files(self.line_files.read(), now=self.clock())

    def refuse_other_registry(self) -> None:
        """Take in the registry, held to the one that the database is of; raises as that does."""
        hold_to_database(self.open_registry(), self.database)

    def refuse_newer_database(self) -> None:
        """Raises CannotStart where a newer platform migrated it; an older schema is a warning."""
        if is_missing(self.database):
            return
        with suppress(DatabaseUnavailable), reading(self.database) as connection:
            revision = schema_revision(connection)
            if revision not in (None, REVISION):
                from mlengine.stores.database.migrate import (  # noqa: PLC0415 - Alembic, rarely
                    judge_schema,
                )

                judge_schema(revision)

    def require_database(self) -> None:
        """Raises DatabaseUnavailable where the platform was never started."""
        if is_missing(self.database):
            raise DatabaseUnavailable(DatabaseUnavailable.never_started)

    def request_first_training(self, *, now: datetime) -> None:
        """Ask for a training where nothing serves and one could change that; else do nothing.

        What is in the way is logged: the platform starts without a model, too.
        """
        by_hand = self.runs.defaults.is_activated_by_hand or self.activation_approvals
        if self.active.path.exists() or (by_hand and published_versions(self.models_directory)):
            return
        try:
            request = RunRequest(uuid4().hex, "first-training", uuid4().hex, now)
            self.runs.request_training({}, request)
        except TrainingInProgress:
            return
        except MlengineError as error:
            facts = {"code": error.code, "reason": str(error)}
            log.warning("first training not requested", extra=facts)

    @property
    def line(self) -> str:
        """The model line that it is of."""
        return self.events.line

    @property
    def latencies(self) -> LatencyService:
        """As the database has them."""
        from mlengine.services.telemetry.latencies import LatencyService  # noqa: PLC0415 - NumPy
        from mlengine.stores.telemetry.latency_table import LatencyTable  # noqa: PLC0415 - NumPy

        return LatencyService(LatencyTable(self.database))

    @property
    def integrity(self) -> IntegrityVerifier:
        """Of the published versions."""
        from mlengine.services.models.integrity import IntegrityVerifier  # noqa: PLC0415 - rarely

        return IntegrityVerifier(self.open_registry(), self.run_store)

    def _schema_is_current(self) -> bool:
        try:
            return schema_is_current(self.database)
        except DatabaseUnavailable:
            return False


def build_control(settings: Settings) -> ControlPlane:
    """The light half of the platform; connects to nothing yet."""
    database = open_database(
        settings.audit_database_url, timeout_seconds=settings.database_timeout_seconds
    )
    give_archive(database, AuditArchive(settings.artifacts_dir / "audit-archive"))
    clock = DatabaseClock(database)
    models = versions_directory(settings.registry_dir)
    queue = open_queue(settings.redis_url, settings.artifacts_dir, database)
    run_store = RunStore(database)
    refused = training.engine_refusals(settings)
    runs = RunService(run_store, queue, settings.train, settings.train_timeout_seconds, refused)
    retention = RetentionService(AuditRetention(database), settings.audit_retention_days)
    active = ActiveFile(models / ACTIVE_FILE)
    hook_store, delivery_store = HookStore(database), DeliveryStore(database)
    private = settings.monitoring.hooks_allow_private
    return ControlPlane(
        database_url=settings.audit_database_url,
        database=database,
        models_directory=models,
        queue=queue,
        run_store=run_store,
        runs=runs,
        run_maintenance=RunMaintenance(runs, run_store, retention, settings.registry_dir, clock),
        fold_helpers=training.build_fold_helpers(
            settings, runs, clock, cache(partial(open_bucket, settings))
        ),
        schedules=training.build_schedules(settings, database, runs),
        events=EventStore(database),
        retraining=training.build_retraining(settings, database, runs, active),
        outbox=Outbox(database),
        hooks=HookService(hook_store, delivery_store, private),
        hook_deliveries=DeliveryService(
            delivery_store, hook_store, HookSender(private), clock, random.random
        ),
        active=active,
        retention=retention,
        update_lease=UpdateLease(database),
        predictions=PredictionReader(database),
        activation_approvals=settings.access.activation_approvals,
        clock=clock,
        open_registry=RegistryOpener(settings),
        signal_plans=SignalPlans(database),
        signal_exports=ExportStore(database),
        lines=training.build_lines(settings, database, runs, build_host_offers(settings)),
        line_files=LineFolder(settings.registry.lines_dir),
    )


def require_feature_sets(settings: Settings) -> None:
    """Raises BadSetting for what `build_platform` would refuse; the defaults need no check."""
    own = settings.feature_sets or entry_points(group=ENTRY_POINT_GROUP)
    if own or settings.train.feature_set != _BUILT_IN:
        from mlengine.bootstrap.feature_sets import load_feature_sets  # noqa: PLC0415 - Polars

        load_feature_sets(settings.feature_sets, wanted=settings.train.feature_set)
