"""What answers about drift, alone for commands that shall take no time."""

from sqlalchemy import Engine

from mlengine.bootstrap.control import ControlPlane
from mlengine.config import Settings
from mlengine.core.monitoring.sequential import alert_level
from mlengine.services.monitoring.drift import DriftService
from mlengine.services.monitoring.drift_references import DriftReferences
from mlengine.stores.audit.live_vectors import LiveVectorReader
from mlengine.stores.monitoring.drift_store import DriftStore
from mlengine.stores.registry.registry import Registry


def build_drift(settings: Settings, control: ControlPlane, registry: Registry) -> DriftService:
    """Connects to nothing yet."""
    level = alert_level(years=settings.monitoring.alert_years)
    return drift_of_line(control.database, control.line, registry, level=level)


def drift_of_line(database: Engine, line: str, registry: Registry, *, level: float) -> DriftService:
    """As `build_drift`; the evidence of an alarm must pass `level`."""
    return DriftService(
        registry,
        DriftReferences(registry),
        LiveVectorReader(database, line),
        DriftStore(database, line),
        level,
    )
