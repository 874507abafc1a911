"""The parts of monitoring, and the steps that bring them up to date."""

import secrets

from mlengine.bootstrap.control import ControlPlane
from mlengine.bootstrap.stores import Stores
from mlengine.config import Settings
from mlengine.core.monitoring.sequential import alert_level
from mlengine.services.monitoring.drift import DriftService
from mlengine.services.monitoring.drift_checks import DriftChecks
from mlengine.services.monitoring.drift_references import DriftReferences
from mlengine.services.monitoring.drift_updates import DriftUpdates
from mlengine.services.monitoring.feeds import FeedStep
from mlengine.services.monitoring.updates import MonitoringUpdates, UpdateStep
from mlengine.services.outcomes.earlier_champion import EarlierChampion
from mlengine.services.outcomes.reader import OutcomeReader
from mlengine.services.outcomes.recorded_bars import OutcomeBars
from mlengine.services.outcomes.step import OutcomeStep
from mlengine.services.telemetry.latencies import LatencyRollUp
from mlengine.stores.audit.live_vectors import LiveVectorReader
from mlengine.stores.monitoring.drift_store import DriftStore
from mlengine.stores.monitoring.feed_store import FeedStore
from mlengine.stores.outcomes.answers import AnswerReader
from mlengine.stores.outcomes.store import OutcomeStore


def build_drift(settings: Settings, control: ControlPlane, stores: Stores) -> DriftService:
    """What answers about drift; connects to nothing yet."""
    return DriftService(
        stores.registry,
        DriftReferences(stores.registry),
        LiveVectorReader(control.database),
        DriftStore(control.database),
        alert_level(years=settings.monitoring.alert_years),
    )


def build_monitoring_updates(
    control: ControlPlane, stores: Stores, drift: DriftService
) -> MonitoringUpdates:
    """The steps in their order; connects to nothing yet."""
    steps: tuple[UpdateStep, ...] = (
        _outcome_step(control, stores),
        DriftUpdates(drift.registry, drift.references, drift.vectors, drift.store, drift.level),
        DriftChecks(drift, control.events),
        LatencyRollUp(control.latencies.table),
        FeedStep(FeedStore(control.database), stores.bars.interval),
    )
    return MonitoringUpdates(steps, control.update_lease, control.clock, _new_holder)


def _outcome_step(control: ControlPlane, stores: Stores) -> OutcomeStep:
    return OutcomeStep(
        AnswerReader(control.database),
        OutcomeStore(control.database),
        stores.registry,
        OutcomeReader(stores.registry, OutcomeBars(stores.bars)),
        EarlierChampion(stores.loader, control.events, stores.audit),
    )


def _new_holder() -> str:
    return secrets.token_hex(8)
