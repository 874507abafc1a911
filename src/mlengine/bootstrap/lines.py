"""What a platform is for a model line beside `main`: the same parts, by what the line says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mlengine.bootstrap.control import ControlPlane
from mlengine.bootstrap.registry import RegistryOpener
from mlengine.bootstrap.training import build_retraining, build_schedules
from mlengine.config import Settings
from mlengine.core.lines.line import ModelLine
from mlengine.core.versions.layout import ACTIVE_FILE
from mlengine.services.runs.retraining import RetrainingService
from mlengine.services.runs.schedules import ScheduleService
from mlengine.stores.database.events import EventStore
from mlengine.stores.registry.active import ActiveFile
from mlengine.stores.registry.folders import versions_directory
from mlengine.stores.runs.store import RunStore


def settings_of_line(settings: Settings, line: ModelLine) -> Settings:
    """The settings as they are for a line."""
    definition = line.definition
    spec = definition.spec(settings.train)
    return replace(
        settings,
        train=spec,
        market_data_interval=spec.interval,
        train_schedule=definition.schedule,
        train_schedule_activate=definition.schedule_activate or settings.train_schedule_activate,
    )


def control_of_line(control: ControlPlane, settings: Settings, line: ModelLine) -> ControlPlane:
    """The control plane for a line; `settings` are those of the platform."""
    own, database = settings_of_line(settings, line), control.database
    models = versions_directory(settings.registry_dir, line.name)
    active = ActiveFile(models / ACTIVE_FILE)
    run_store = RunStore(database, line.name)
    runs = replace(control.runs, store=run_store, defaults=own.train)
    return replace(
        control,
        models_directory=models,
        run_store=run_store,
        runs=runs,
        schedules=build_schedules(own, database, runs),
        events=EventStore(database, line.name),
        retraining=build_retraining(own, database, runs, active),
        active=active,
        open_registry=RegistryOpener(settings, line.name),
    )


@dataclass
class LineControls:
    """The control planes of `main` and of every active line, for who looks at all again and again.

    A line that was not changed keeps its own.
    """

    main: ControlPlane
    settings: Settings
    _known: dict[str, tuple[ModelLine, ControlPlane]] = field(default_factory=dict, init=False)

    def all(self) -> tuple[ControlPlane, ...]:
        """Those there are; raises DatabaseUnavailable."""
        return (self.main, *map(self._of, self.main.lines.directory.active()))

    def schedules(self) -> tuple[ScheduleService, ...]:
        """What is trained when, line by line; raises DatabaseUnavailable."""
        return tuple(control.schedules for control in self.all())

    def retrainings(self) -> tuple[RetrainingService, ...]:
        """What monitoring asks for, line by line; raises DatabaseUnavailable."""
        return tuple(control.retraining for control in self.all())

    def _of(self, line: ModelLine) -> ControlPlane:
        known = self._known.get(line.name)
        if known is None or known[0] != line:
            known = line, control_of_line(self.main, self.settings, line)
            self._known[line.name] = known
        return known[1]
