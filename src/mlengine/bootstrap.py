"""The one place where concrete parts meet.

`build_control` needs neither Polars nor LightGBM, so that the worker process, which only spawns
the trainings, stays small.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from mlengine import __version__
from mlengine.config import Settings
from mlengine.errors import AuditUnavailable
from mlengine.services.history import reconcile
from mlengine.services.retention import RetentionService
from mlengine.services.runs import RunService
from mlengine.services.schedules import ScheduleService
from mlengine.stores import database
from mlengine.stores.active import ActiveFile
from mlengine.stores.audit_retention import AuditRetention
from mlengine.stores.checks import Checks
from mlengine.stores.events import EventStore
from mlengine.stores.job_queue import JobQueue
from mlengine.stores.queue_server import resolve_url
from mlengine.stores.runs import RunStore
from mlengine.stores.schedules import ScheduleStore

if TYPE_CHECKING:
    from mlengine.cellar import Cellar
    from mlengine.core.features import FeatureSet
    from mlengine.services.audit import AuditService
    from mlengine.services.bars import BarService
    from mlengine.services.card import CardService
    from mlengine.services.export import ExportService
    from mlengine.services.features import FeatureService
    from mlengine.services.health import HealthService
    from mlengine.services.models import ModelService
    from mlengine.services.monitoring import MonitoringService
    from mlengine.services.predict import PredictService
    from mlengine.services.registry import RegistryService
    from mlengine.services.replay import ReplayService
    from mlengine.services.reproduction import ReproductionService
    from mlengine.services.training import TrainingService

MODEL_LINE = "main"
FEATURE_SETS_GROUP = "mlengine.feature_sets"
_BUILT_IN = "core"
# More threads wait for each other on a busy machine; the trees are the same on any number.
TRAINING_THREADS = 1


@dataclass(frozen=True)
class Control:
    """What asks for trainings and reads how they go."""

    database_url: str
    runs: RunService
    schedules: ScheduleService
    events: EventStore
    active: ActiveFile
    retention: RetentionService

    def prepare(self) -> None:
        """Bring the database to the newest schema, and its history to what `ACTIVE` says.

        Raises CannotStart, AuditUnavailable or ArtifactCorrupt.
        """
        if not self._is_current():
            from mlengine.stores.migrate import migrate  # noqa: PLC0415 - Alembic, seldom needed

            migrate(self.database_url)
        reconcile(self.active, self.events)

    def _is_current(self) -> bool:
        try:
            return database.schema_is_current(self.runs.runs.engine)
        except AuditUnavailable:
            return False


@dataclass(frozen=True)
class Engine(Control):
    """Every use case of the platform."""

    checks: Checks
    bars: BarService
    features: FeatureService
    predict: PredictService
    training: TrainingService
    reproduction: ReproductionService
    export: ExportService
    cards: CardService
    models: ModelService
    registry: RegistryService
    monitoring: MonitoringService
    audit: AuditService
    replay: ReplayService
    health: HealthService


def build_control(settings: Settings) -> Control:
    """The light half; connects to nothing yet."""
    engine = database.open_database(settings.audit_database_url)
    runs = RunService(
        RunStore(engine), _queue(settings), settings.train, settings.train_timeout_seconds
    )
    return Control(
        settings.audit_database_url,
        runs=runs,
        schedules=ScheduleService(ScheduleStore(engine), runs, settings.train_schedule),
        events=EventStore(engine),
        active=ActiveFile(_models(settings) / "ACTIVE"),
        retention=RetentionService(AuditRetention(engine), settings.audit_retention_days),
    )


def build_engine(settings: Settings) -> Engine:
    """The whole platform; connects to nothing yet, loads Polars and LightGBM.

    Raises BadSetting for a feature set that does not exist.
    """
    from mlengine.cellar import open_cellar  # noqa: PLC0415 - heavy
    from mlengine.services.audit import AuditService  # noqa: PLC0415 - heavy
    from mlengine.services.features import FeatureService  # noqa: PLC0415 - heavy
    from mlengine.services.filling import Filling  # noqa: PLC0415 - heavy
    from mlengine.services.health import HealthService  # noqa: PLC0415 - heavy
    from mlengine.services.models import ModelService  # noqa: PLC0415 - heavy
    from mlengine.services.monitoring import MonitoringService  # noqa: PLC0415 - heavy
    from mlengine.services.predict import PredictService  # noqa: PLC0415 - heavy
    from mlengine.services.registry import RegistryService  # noqa: PLC0415 - heavy
    from mlengine.services.replay import ReplayService  # noqa: PLC0415 - heavy
    from mlengine.stores.row_cache import RowCache  # noqa: PLC0415 - heavy

    control = build_control(settings)
    cellar = open_cellar(
        settings, database=control.runs.runs.engine, models=control.active.path.parent
    )
    bars, sets, shelf, rows = cellar.bars, cellar.feature_sets, cellar.shelf, RowCache()
    registry, store, events = cellar.registry, cellar.audit, control.events
    models = ModelService(registry, shelf, events)
    training = _training(control, cellar, models)
    return Engine(
        **vars(control),
        checks=cellar.checks,
        bars=bars,
        features=FeatureService(bars, sets, settings.train.feature_set),
        predict=PredictService(
            bars,
            shelf,
            store,
            time.perf_counter,
            _new_id,
            Filling(bars, shelf, rows, time.perf_counter),
            limits=cellar.usability_limits,
            rows=rows,
        ),
        training=training.service,
        reproduction=training.reproduction,
        export=training.export,
        cards=training.cards,
        models=models,
        registry=RegistryService(registry, events, control.runs.runs, store),
        monitoring=MonitoringService(store, events, registry, shelf, settings.market_data_interval),
        audit=AuditService(store),
        replay=ReplayService(cellar.evidence, shelf, bars, events),
        health=HealthService(
            __version__, settings.env, registry, shelf, store, control.runs.queue, cellar.checks
        ),
    )


@dataclass(frozen=True)
class _Training:
    """What trains, and what works on what was trained."""

    service: TrainingService
    reproduction: ReproductionService
    export: ExportService
    cards: CardService


def _training(control: Control, cellar: Cellar, models: ModelService) -> _Training:
    from mlengine.services.card import CardService  # noqa: PLC0415 - heavy
    from mlengine.services.export import ExportService  # noqa: PLC0415 - heavy
    from mlengine.services.fitting import FittingService  # noqa: PLC0415 - heavy
    from mlengine.services.reproduction import ReproductionService  # noqa: PLC0415 - heavy
    from mlengine.services.training import TrainingService  # noqa: PLC0415 - heavy
    from mlengine.services.work import ReproductionWork  # noqa: PLC0415 - heavy

    bars, sets, registry = cellar.bars, cellar.feature_sets, cellar.registry
    runs, events = control.runs.runs, control.events
    fitter = FittingService(bars, sets, registry, TRAINING_THREADS, history=events)
    reproduction = ReproductionService(registry, sets, bars, TRAINING_THREADS)
    others = {"reproduce": ReproductionWork(reproduction)}
    return _Training(
        TrainingService(runs, events, fitter, registry, models, _now, others=others),
        reproduction,
        ExportService(reproduction),
        CardService(registry),
    )


def check_feature_sets(settings: Settings) -> None:
    """Raises BadSetting for what `build_engine` would refuse; the defaults need no look."""
    own = settings.feature_sets or entry_points(group=FEATURE_SETS_GROUP)
    if own or settings.train.feature_set != _BUILT_IN:
        _feature_sets(settings)


def _feature_sets(settings: Settings) -> dict[str, FeatureSet]:
    from mlengine.feature_sets import feature_sets  # noqa: PLC0415 - heavy

    return feature_sets(settings.feature_sets, wanted=settings.train.feature_set)


def _models(settings: Settings) -> Path:
    return settings.artifacts_dir / "models" / MODEL_LINE


def _queue(settings: Settings) -> JobQueue:
    return JobQueue(lambda: resolve_url(settings.redis_url, settings.artifacts_dir))


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    """Ordered by time (as a UUID of version 7), so that the audit's index grows at one end."""
    random = secrets.token_hex(10)
    return f"{time.time_ns() // 1_000_000:012x}7{random[:19]}"
