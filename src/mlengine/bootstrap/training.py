"""What asks for the trainings of a model line, and what knows the lines there are."""

from datetime import timedelta

from sqlalchemy import Engine

from mlengine.config import Settings
from mlengine.services.lines.directory import LineDirectory
from mlengine.services.lines.service import LineService
from mlengine.services.runs.retraining import RetrainingService
from mlengine.services.runs.schedules import ScheduleService
from mlengine.services.runs.service import RunService
from mlengine.stores.lines.store import LineStore
from mlengine.stores.registry.active import ActiveFile
from mlengine.stores.runs.retrainings import RetrainingStore
from mlengine.stores.runs.schedules import ScheduleStore


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


def build_lines(settings: Settings, database: Engine, runs: RunService) -> LineService:
    """The lines beside `main`, whose trainings are `runs`."""
    store = LineStore(database)
    return LineService(
        store,
        LineDirectory(store),
        runs,
        ScheduleStore(database),
        settings.train,
        settings.registry_dir,
    )
