"""The signals of a line: their panel, and what scores its bars."""

from datetime import timedelta
from pathlib import Path

from mlengine.bootstrap.control import ControlPlane
from mlengine.bootstrap.stores import Stores
from mlengine.config import Settings
from mlengine.services.predictions.service import PredictService
from mlengine.services.signals.history import HistoryReader
from mlengine.services.signals.panel import SignalService
from mlengine.services.signals.planning import SignalPlanner
from mlengine.services.signals.scoring import SliceScorer
from mlengine.services.signals.universe import ScoredUniverse
from mlengine.stores.signals.store import SignalStore


def build_signals(control: ControlPlane, stores: Stores) -> SignalService:
    """Connects to nothing yet."""
    history = HistoryReader(stores.registry, stores.loader, control.events)
    return SignalService(
        control.line, SignalStore(stores.audit), history, stores.bars.markets.canonical
    )


def build_slice_scorer(
    settings: Settings, control: ControlPlane, stores: Stores, predict: PredictService
) -> SliceScorer:
    """`settings` are those of the line."""
    file, canonical = settings.train.universe_file, stores.bars.markets.canonical
    universe = ScoredUniverse(Path(file) if file else None, stores.registry, canonical)
    planner = SignalPlanner(
        control.line,
        settings.train.symbols,
        stores.bars,
        stores.loader,
        stores.registry.active,
        control.signal_plans,
        settings.signals.slice_symbols,
        timedelta(seconds=settings.signals.wait_seconds),
        universe,
    )
    return SliceScorer(planner, predict, SignalStore(stores.audit), control.clock)
