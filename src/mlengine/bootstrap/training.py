"""What asks for the trainings of a model line, and what knows the lines there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from mlengine.config import Settings
from mlengine.core.training.spec import DASK
from mlengine.services.lines.directory import LineDirectory
from mlengine.services.lines.host_offers import HostOffers
from mlengine.services.lines.service import LineService
from mlengine.services.runs.fold_helpers import FoldHelpers
from mlengine.services.runs.retraining import RetrainingService
from mlengine.services.runs.schedules import ScheduleService
from mlengine.services.runs.service import RunService
from mlengine.stores.lines.store import LineStore
from mlengine.stores.registry.active import ActiveFile
from mlengine.stores.runs.retrainings import RetrainingStore
from mlengine.stores.runs.schedules import ScheduleStore
from mlengine.stores.training.fold_files import FoldFiles, SharedObjects
from mlengine.stores.training.fold_store import FoldStore

if TYPE_CHECKING:
    from mlengine.services.training.fold_fan_out import TrainingFanOut
    from mlengine.services.training.fold_helper import FoldHelper
    from mlengine.stores.training.dask_cluster import DaskCluster


def build_schedules(settings: Settings, database: Engine, runs: RunService) -> ScheduleService:
    """The scheduled trainings of the line of `runs`."""
    return ScheduleService(
        ScheduleStore(database, runs.store.line),
        runs,
        settings.train_schedule,
        settings.train_schedule_activate,
    )


def build_retraining(
    settings: Settings, database: Engine, runs: RunService, active: ActiveFile
) -> RetrainingService:
    """The trainings that monitoring asks for, of the line of `runs`."""

    def active_version() -> str | None:
        current = active.read_or_none()
        return current.version if current else None

    monitoring = settings.monitoring
    cooldown = timedelta(days=monitoring.retrain_cooldown_days)
    store = RetrainingStore(database, runs.store.line)
    return RetrainingService(store, runs, monitoring.retrain_on, cooldown, active_version)


def build_lines(
    settings: Settings, database: Engine, runs: RunService, offers: HostOffers
) -> LineService:
    """The lines beside `main`, whose trainings are `runs`."""
    store = LineStore(database)
    return LineService(
        store,
        LineDirectory(store),
        runs,
        ScheduleStore(database),
        settings.train,
        settings.registry_dir,
        replace(offers, engine_refusals=runs.engine_refusals),
    )


def build_fold_helpers(
    settings: Settings,
    runs: RunService,
    clock: Callable[[], datetime],
    open_objects: Callable[[], SharedObjects | None],
) -> FoldHelpers:
    """What lets workers share the folds of a training, whose files are in what hosts share."""
    return FoldHelpers(
        runs.store,
        FoldStore(runs.store.engine),
        FoldFiles(settings.artifacts_dir / "fan-out", open_objects),
        runs.queue,
        settings.fan_out.workers,
        settings.train_timeout_seconds,
        clock,
    )


def build_fan_out(settings: Settings, helpers: FoldHelpers) -> TrainingFanOut | None:
    """None where trainings fit their folds alone; loads LightGBM."""
    from mlengine.services.training.fold_fan_out import (  # noqa: PLC0415 - LightGBM
        TrainingFanOut,
    )

    return TrainingFanOut(helpers, helpers.clock) if settings.fan_out.shares_folds else None


def engine_refusals(settings: Settings) -> Mapping[str, str]:
    """Of each engine that trainings can't use here, what is missing."""
    missing = [name for name in ("distributed", "dask", "sklearn") if find_spec(name) is None]
    if settings.dask_scheduler_address is None:
        return {DASK: "needs DASK_SCHEDULER_ADDRESS, the scheduler of a Dask cluster"}
    return {DASK: f"needs {missing[0]}: pip install 'mlengine[dask]'"} if missing else {}


def build_cluster(settings: Settings) -> DaskCluster | None:
    """What fits recipes of the engine dask; connects to nothing yet."""
    if settings.dask_scheduler_address is None or engine_refusals(settings):
        return None
    from mlengine.stores.training.dask_cluster import DaskCluster  # noqa: PLC0415 - LightGBM

    return DaskCluster(settings.dask_scheduler_address)


def build_fold_helper(helpers: FoldHelpers) -> FoldHelper:
    """What fits folds of others' trainings; loads LightGBM."""
    from mlengine.services.training.fold_helper import FoldHelper  # noqa: PLC0415 - LightGBM

    return FoldHelper(helpers.folds, helpers.files, helpers.clock)
