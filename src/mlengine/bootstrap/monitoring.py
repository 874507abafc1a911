"""The parts of monitoring, and the steps that bring them up to date."""

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from platform import python_version

from mlengine import __version__
from mlengine.bootstrap.control import ControlPlane
from mlengine.bootstrap.registry import open_registry
from mlengine.bootstrap.stores import Stores
from mlengine.bootstrap.telemetry import counters_folder
from mlengine.config import Settings
from mlengine.core.line_names import MODEL_LINE
from mlengine.core.lines.line import ModelLine
from mlengine.services.monitoring.drift import DriftService
from mlengine.services.monitoring.drift_checks import DriftChecks
from mlengine.services.monitoring.drift_updates import DriftUpdates
from mlengine.services.monitoring.feeds import FeedStep
from mlengine.services.monitoring.health import HealthService
from mlengine.services.monitoring.model_age import ModelAgeStep
from mlengine.services.monitoring.service import MonitoringService
from mlengine.services.monitoring.updates import MonitoringUpdates, StepOfLine, UpdateStep
from mlengine.services.outcomes.earlier_champion import EarlierChampion
from mlengine.services.outcomes.judging import UnseenRowsReader
from mlengine.services.outcomes.performance import PerformanceService
from mlengine.services.outcomes.reader import OutcomeReader
from mlengine.services.outcomes.recorded_bars import OutcomeBars
from mlengine.services.outcomes.reporting import PerformanceReporter, ReportStep
from mlengine.services.outcomes.skill_step import SkillStep
from mlengine.services.outcomes.step import OutcomeStep
from mlengine.services.telemetry.drift_gauges import drift_gauges
from mlengine.services.telemetry.gauges import GaugeReader
from mlengine.services.telemetry.latencies import LatencyRollUp
from mlengine.services.telemetry.line_gauges import LineGauges
from mlengine.services.telemetry.metrics import MetricsService
from mlengine.services.telemetry.monitoring_gauges import monitoring_gauges
from mlengine.services.telemetry.signal_gauges import signal_gauges
from mlengine.services.telemetry.skill_gauges import SkillGauges
from mlengine.stores.monitoring.feed_store import FeedStore
from mlengine.stores.outcomes.answers import AnswerReader
from mlengine.stores.outcomes.reports import ReportStore
from mlengine.stores.outcomes.scored import ScoredReader
from mlengine.stores.outcomes.skill_store import SkillStore
from mlengine.stores.outcomes.store import OutcomeStore
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system.dependency_states import DependencyStates
from mlengine.stores.telemetry.counter_folder import CounterFolder

# Rows that waited beside the database come into it later than they were made.
_LATEST_ROWS = timedelta(days=1)


def build_monitoring_updates(
    control: ControlPlane, stores: Stores, drift: DriftService
) -> MonitoringUpdates:
    """The steps of a line in their order, and those of the platform with `main`'s."""
    outcomes, registry = ScoredReader(control.database, control.line), stores.registry
    reporter = PerformanceReporter(outcomes, stores.bars.markets)
    ours: tuple[UpdateStep, ...] = (
        OutcomeStep(
            AnswerReader(control.database, control.line),
            OutcomeStore(control.database, control.line),
            registry,
            OutcomeReader(registry, OutcomeBars(stores.bars)),
            _earlier_champion(control, stores),
        ),
        SkillStep(
            outcomes,
            SkillStore(control.database, control.line),
            registry,
            UnseenRowsReader(registry),
        ),
        ReportStep(
            reporter, ReportStore(control.database, control.line), registry, time.perf_counter
        ),
        DriftUpdates(drift.registry, drift.references, drift.vectors, drift.store, drift.level),
        DriftChecks(drift, control.events),
        ModelAgeStep(registry, control.events, stores.usability_limits.max_model_age_days),
    )
    steps = (*ours, *_of_the_platform(control, stores))
    if control.line != MODEL_LINE:
        steps = tuple(StepOfLine(control.line, step) for step in ours)
    return MonitoringUpdates(steps, control.update_lease, control.clock, _new_holder)


def updates_of_all_lines(
    control: ControlPlane, updates_of: Callable[[str], MonitoringUpdates]
) -> MonitoringUpdates:
    """The update of `main` and every active line, and what is still to come of retired ones.

    Those get the outcomes of their predictions, and figures of them; nobody is alarmed, and
    nothing is trained. Raises DatabaseUnavailable.
    """
    main, directory = updates_of(MODEL_LINE), control.lines.directory
    steps = list(main.steps)
    for line in directory.active():
        steps += updates_of(line.name).steps
    for line in directory.retired():
        if not _all_is_decided(control, line):
            steps += filter(_is_of_outcomes, updates_of(line.name).steps)
    return replace(main, steps=tuple(steps))


def _all_is_decided(control: ControlPlane, line: ModelLine) -> bool:
    if OutcomeStore(control.database, line.name).next_look() is not None:
        return False
    answers = AnswerReader(control.database, line.name)
    return answers.has_read(through=line.changed_at + _LATEST_ROWS)


def _is_of_outcomes(step: UpdateStep) -> bool:
    return isinstance(step, StepOfLine) and isinstance(step.step, OutcomeStep | ReportStep)


def _of_the_platform(control: ControlPlane, stores: Stores) -> tuple[UpdateStep, ...]:
    return (
        LatencyRollUp(control.latencies.table),
        FeedStep(FeedStore(control.database), stores.bars.interval),
    )


def build_performance(control: ControlPlane, stores: Stores) -> PerformanceService:
    """How versions do in production; connects to nothing yet."""
    return PerformanceService(
        PerformanceReporter(ScoredReader(control.database, control.line), stores.bars.markets),
        ReportStore(control.database, control.line),
        SkillStore(control.database, control.line),
        UnseenRowsReader(stores.registry),
        _earlier_champion(control, stores),
        stores.registry,
        stores.loader,
    )


def _earlier_champion(control: ControlPlane, stores: Stores) -> EarlierChampion:
    return EarlierChampion(stores.loader, control.events, stores.audit)


def _new_holder() -> str:
    return secrets.token_hex(8)


def build_metrics(
    settings: Settings,
    control: ControlPlane,
    health: HealthService,
    monitoring: MonitoringService,
    drift: DriftService,
    drift_of: Callable[[str, Registry], DriftService],
    states: DependencyStates,
) -> MetricsService:
    """What `/metrics` tells; connects to nothing yet.

    `drift` is that of `main`, and `drift_of` gives that of another line.
    """
    skill = SkillGauges(SkillStore(control.database), control.active)
    updates = settings.monitoring.every_seconds > 0
    lines = LineGauges(
        control.lines.directory,
        control.database,
        partial(open_registry, settings),
        lambda: states.state("registry") != "degraded",
        drift_of,
    )
    gauges = GaugeReader(
        __version__,
        python_version(),
        monitoring,
        control.run_store,
        health.audit.spool,
        health.worker_count,
        more=(
            partial(drift_gauges, drift),
            skill.read,
            lines.read,
            partial(signal_gauges, control.signal_plans),
            *((partial(monitoring_gauges, control.update_lease),) if updates else ()),
        ),
    )
    return MetricsService(CounterFolder(counters_folder(settings)), gauges)
