"""Freshness and history alone, for commands that shall take no time."""

from mlengine.bootstrap.control import ControlPlane
from mlengine.bootstrap.market_data import open_market_data
from mlengine.bootstrap.markets import load_markets
from mlengine.config import Settings
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import NoActiveModel
from mlengine.services.bars.bar_ages import BarAgeService
from mlengine.services.monitoring.service import MonitoringService
from mlengine.stores.audit.live_bars import LiveBarReader
from mlengine.stores.bars.cache import BarCache
from mlengine.stores.bars.store import BarStore
from mlengine.stores.registry.registry import Registry


def build_freshness(settings: Settings, control: ControlPlane) -> MonitoringService:
    """As the platform has it, without a model in memory; raises as `open_bars`."""
    markets, database = load_markets(settings), control.database
    registry = Registry(control.models_directory)

    def active_manifest() -> Manifest:
        active = registry.active.read()
        if active is None:
            raise NoActiveModel
        return registry.manifest(active.version)

    bar_ages = BarAgeService(
        open_market_data(settings, markets),
        BarStore(database, of_sample=settings.market_data_kind == "sample"),
        settings.market_data_interval,
        markets,
        BarCache(),
    )
    return MonitoringService(
        LiveBarReader(database),
        control.events,
        active_manifest,
        settings.market_data_interval,
        bar_ages,
    )
