"""The platform: every use case over its stores; loads Polars and LightGBM."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from platform import python_version

from mlengine import __version__
from mlengine.bootstrap.control import ControlPlane, build_control
from mlengine.bootstrap.drift import build_drift
from mlengine.bootstrap.keys import build_key_ring
from mlengine.bootstrap.monitoring import build_monitoring_updates, build_performance
from mlengine.bootstrap.stores import Stores, build_bar_quality, open_stores
from mlengine.bootstrap.telemetry import counters_folder
from mlengine.config import Settings
from mlengine.services.audit.service import AuditService
from mlengine.services.bars.quality import BarQualityService
from mlengine.services.bars.service import BarService
from mlengine.services.features.service import FeatureService
from mlengine.services.keys.authentication import Authentication
from mlengine.services.models.maintenance import RegistryMaintenance
from mlengine.services.models.service import ModelService
from mlengine.services.monitoring.drift import DriftService
from mlengine.services.monitoring.health import HealthService, WorkerCountProbe
from mlengine.services.monitoring.service import MonitoringService
from mlengine.services.monitoring.updates import MonitoringUpdates
from mlengine.services.outcomes.performance import PerformanceService
from mlengine.services.predictions.prediction_counts import PredictionCounts
from mlengine.services.predictions.prefetch import NewBarPrefetch
from mlengine.services.predictions.replay import ReplayService
from mlengine.services.predictions.service import PredictService
from mlengine.services.telemetry.drift_gauges import drift_gauges
from mlengine.services.telemetry.gauges import GaugeReader
from mlengine.services.telemetry.latencies import LatencyService
from mlengine.services.telemetry.latency_recorder import LatencyRecorder
from mlengine.services.telemetry.metrics import MetricsService
from mlengine.services.telemetry.skill_gauges import SkillGauges
from mlengine.services.training.pipeline import TrainingPipeline
from mlengine.services.training.reproduction import ReproductionService
from mlengine.services.training.run_executor import RunExecutor
from mlengine.stores.features.vector_cache import FeatureVectorCache
from mlengine.stores.keys.key_ring import KeyRing
from mlengine.stores.outcomes.skill_store import SkillStore
from mlengine.stores.registry.loader import ModelLoader
from mlengine.stores.registry.registry import Registry
from mlengine.stores.registry.shared.poll import RegistryPoll
from mlengine.stores.system.dependency_states import DependencyStates
from mlengine.stores.telemetry.counter_folder import CounterFolder
from mlengine.stores.telemetry.counters import Counters

# More threads wait for each other on a busy machine; the trees are the same on any number.
TRAINING_THREADS = 1


@dataclass(frozen=True)
class Platform:
    """Every use case; those that need neither bars nor a model in memory are in `control`."""

    control: ControlPlane
    keys: Authentication
    states: DependencyStates
    loader: ModelLoader
    bars: BarService
    bar_quality: BarQualityService
    features: FeatureService
    predict: PredictService
    run_executor: RunExecutor
    reproduction: ReproductionService
    models: ModelService
    registry: Registry
    registry_poll: RegistryPoll
    maintenance: RegistryMaintenance
    monitoring: MonitoringService
    drift: DriftService
    monitoring_updates: MonitoringUpdates
    performance: PerformanceService
    audit: AuditService
    replay: ReplayService
    health: HealthService
    counters: Counters
    latencies: LatencyService
    metrics: MetricsService


def build_platform(settings: Settings) -> Platform:
    """The whole platform; connects to nothing yet.

    Raises BadSetting for a feature set that does not exist.
    """
    control = build_control(settings)
    stores = open_stores(settings, database=control.database)
    models = ModelService(
        stores.registry, stores.loader, control.events, settings.access.activation_approvals
    )
    reproduction = ReproductionService(
        stores.registry, stores.feature_sets, stores.bars, TRAINING_THREADS
    )
    monitoring = _monitoring(control, stores)
    maintenance = RegistryMaintenance(
        stores.registry, control.run_store, control.events, stores.audit
    )
    drift = build_drift(settings, control, stores.registry)
    keys = Authentication(settings.admin_api_keys, build_key_ring(settings))
    health = _health(settings, control, stores, keys.ring)
    predict = _predict(stores, control.clock)
    return Platform(
        control=control,
        keys=keys,
        states=stores.states,
        loader=stores.loader,
        bars=stores.bars,
        bar_quality=build_bar_quality(settings, stores),
        features=FeatureService(
            stores.bars,
            stores.feature_sets,
            default_set=settings.train.feature_set,
            default_symbols=settings.train.symbols,
        ),
        predict=predict,
        run_executor=replace(
            _run_executor(control, stores, models, reproduction, maintenance),
            models_keep=settings.registry.keep,
        ),
        reproduction=reproduction,
        models=models,
        registry=stores.registry,
        registry_poll=stores.registry_poll,
        maintenance=maintenance,
        monitoring=monitoring,
        drift=drift,
        monitoring_updates=build_monitoring_updates(control, stores, drift),
        performance=build_performance(control, stores),
        audit=AuditService(stores.audit),
        replay=ReplayService(stores.replay_inputs, stores.loader, stores.bars, control.events),
        health=health,
        counters=stores.counters,
        latencies=_latencies(control, stores.counters, predict),
        metrics=_metrics(settings, control, health, monitoring, drift),
    )


def _health(
    settings: Settings, control: ControlPlane, stores: Stores, ring: KeyRing
) -> HealthService:
    return HealthService(
        __version__,
        settings.env,
        stores.registry,
        stores.loader,
        stores.audit,
        WorkerCountProbe(control.runs.workers),
        stores.states,
        stores.bars.source,
        ring,
        control.clock,
        stores.usability_limits.max_model_age_days,
    )


def _monitoring(control: ControlPlane, stores: Stores) -> MonitoringService:
    return MonitoringService(
        stores.audit,
        control.events,
        lambda: stores.loader.active().manifest,
        stores.bars.interval,
        stores.bars.bar_ages,
    )


def _latencies(
    control: ControlPlane, counters: Counters, predict: PredictService
) -> LatencyService:
    table = control.latencies.table
    recorder = LatencyRecorder(counters, predict.counts, table, secrets.token_hex(8))
    return LatencyService(table, recorder)


def _metrics(
    settings: Settings,
    control: ControlPlane,
    health: HealthService,
    monitoring: MonitoringService,
    drift: DriftService,
) -> MetricsService:
    skill = SkillGauges(SkillStore(control.database), control.active)
    gauges = GaugeReader(
        __version__,
        python_version(),
        monitoring,
        control.run_store,
        health.audit.spool,
        health.worker_count,
        more=(partial(drift_gauges, drift), skill.read),
    )
    return MetricsService(CounterFolder(counters_folder(settings)), gauges)


def _predict(stores: Stores, clock: Callable[[], datetime]) -> PredictService:
    vector_cache = FeatureVectorCache(counters=stores.counters)
    return PredictService(
        stores.bars,
        stores.loader,
        stores.audit,
        time.perf_counter,
        partial(_new_prediction_ids, clock),
        NewBarPrefetch(stores.bars, stores.loader, vector_cache, time.perf_counter),
        limits=stores.usability_limits,
        vector_cache=vector_cache,
        counts=PredictionCounts(stores.counters),
    )


def _run_executor(
    control: ControlPlane,
    stores: Stores,
    models: ModelService,
    reproduction: ReproductionService,
    maintenance: RegistryMaintenance,
) -> RunExecutor:
    pipeline = TrainingPipeline(
        replace(stores.bars, anew=True),
        stores.feature_sets,
        stores.registry,
        TRAINING_THREADS,
        control.events,
        stores.usability_limits.max_model_age_days,
    )
    return RunExecutor(
        control.run_store,
        control.events,
        pipeline,
        stores.registry,
        models,
        reproduction,
        maintenance,
        control.clock,
    )


def _new_prediction_ids(clock: Callable[[], datetime], count: int) -> list[str]:
    """Ordered by time (as UUIDs of version 7), so that the audit's index grows at one end."""
    begin, random = f"{int(clock().timestamp() * 1000):012x}7", secrets.token_hex(10 * count)
    return [f"{begin}{random[first : first + 19]}" for first in range(0, 20 * count, 20)]
