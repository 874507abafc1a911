"""The stores of a platform, and what every service needs; loads Polars and LightGBM."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Engine

from mlengine.bootstrap.feature_sets import load_feature_sets
from mlengine.bootstrap.market_data import open_market_data
from mlengine.bootstrap.markets import load_markets
from mlengine.bootstrap.registry import open_registry
from mlengine.bootstrap.telemetry import count_dependency_calls, open_counters
from mlengine.config import Settings
from mlengine.core.features import FeatureSet
from mlengine.core.features.sets.core import CORE
from mlengine.core.predictions.usability import UsabilityLimits
from mlengine.services.bars.quality import BarQualityService
from mlengine.services.bars.service import BarService
from mlengine.services.bars.upstream.bulkhead import UpstreamBulkhead
from mlengine.services.bars.upstream.fetcher import BarFetcher
from mlengine.stores.audit.replay_inputs import ReplayInputStore
from mlengine.stores.audit.spool.spool import AuditSpool
from mlengine.stores.audit.spool.store import SpooledAuditStore
from mlengine.stores.bars.cache import BarCache
from mlengine.stores.bars.store import BarStore
from mlengine.stores.registry.loader import ModelLoader
from mlengine.stores.registry.registry import Registry
from mlengine.stores.registry.shared.poll import RegistryPoll
from mlengine.stores.system.dependency_states import DependencyStates
from mlengine.stores.system.key_locks import KeyLocks
from mlengine.stores.telemetry.counters import Counters


@dataclass(frozen=True)
class Stores:
    """The stores, and what most services need."""

    states: DependencyStates
    bars: BarService
    feature_sets: Mapping[str, FeatureSet]
    registry: Registry
    registry_poll: RegistryPoll
    loader: ModelLoader
    audit: SpooledAuditStore
    replay_inputs: ReplayInputStore
    usability_limits: UsabilityLimits
    counters: Counters


def open_stores(settings: Settings, *, database: Engine) -> Stores:
    """Every store of the platform; connects to nothing yet.

    Raises BadSetting for a feature set that does not exist.
    """
    counters = open_counters(settings)
    states = DependencyStates(partial(count_dependency_calls, counters))
    sets = load_feature_sets(settings.feature_sets, wanted=settings.train.feature_set)
    registry = open_registry(settings)
    return Stores(
        states,
        bars=open_bars(settings, states, database, counters),
        feature_sets=sets,
        registry=registry,
        registry_poll=RegistryPoll(registry, settings.registry.poll_seconds, states),
        loader=ModelLoader(registry, sets, interval=settings.market_data_interval, states=states),
        audit=SpooledAuditStore(
            database, states, spool=AuditSpool(settings.artifacts_dir / "audit-spool")
        ),
        replay_inputs=ReplayInputStore(database),
        usability_limits=UsabilityLimits(**vars(settings.usability)),
        counters=counters,
    )


def stores_of_line(stores: Stores, settings: Settings, line: str, *, database: Engine) -> Stores:
    """As `stores`, but for the models of `line`, whose `settings` these are.

    Bars of one interval are the same ones for all lines.
    """
    registry, interval = open_registry(settings, line), settings.market_data_interval
    loader = ModelLoader(
        registry, stores.feature_sets, interval=interval, states=DependencyStates()
    )
    same = interval == stores.bars.interval
    bars = stores.bars if same else open_bars(settings, stores.states, database, stores.counters)
    return replace(stores, registry=registry, loader=loader, bars=bars)


def open_bars(
    settings: Settings, states: DependencyStates, database: Engine, counters: Counters
) -> BarService:
    """The bars of the configured upstream; connects to nothing yet.

    Raises CannotStart for a file of symbols that is refused.
    """
    markets = load_markets(settings)
    return BarService(
        source=open_market_data(settings, markets),
        store=BarStore(database, of_sample=settings.market_data_kind == "sample"),
        interval=settings.market_data_interval,
        cache_seconds=settings.market_data_cache_seconds,
        recheck_seconds=settings.market_data_recheck_seconds,
        max_stale_seconds=settings.max_stale_seconds,
        states=states,
        cache=BarCache(settings.bars_cache_symbols, settings.bars_cache_mb, counters),
        markets=markets,
        adjustment=settings.market_data_adjust,
        bulkhead=UpstreamBulkhead(
            settings.market_data_service.max_waits,
            KeyLocks(settings.artifacts_dir / "upstream.lock"),
        ),
    )


def open_upstream(settings: Settings, states: DependencyStates) -> BarFetcher:
    """The configured upstream alone; raises as `open_bars`."""
    markets = load_markets(settings)
    return BarFetcher(
        open_market_data(settings, markets),
        settings.market_data_interval,
        settings.market_data_cache_seconds,
        settings.market_data_recheck_seconds,
        states,
        markets,
    )


def build_bar_quality(settings: Settings, stores: Stores) -> BarQualityService:
    """The quality of series as a training of these settings needs it."""
    train = settings.train
    # A line may ask for a set that this host has not: its trainings say so.
    chosen = stores.feature_sets.get(train.feature_set, CORE)
    window_bars = chosen.window_bars
    label_bars = train.horizon_bars + train.label_delay_bars
    return BarQualityService(stores.bars, train.lookback, window_bars, label_bars)
