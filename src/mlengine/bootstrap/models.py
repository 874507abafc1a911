"""The use cases of one model line over the stores of the platform; loads Polars and LightGBM."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from mlengine.bootstrap.control import ControlPlane
from mlengine.bootstrap.drift import build_drift
from mlengine.bootstrap.monitoring import build_monitoring_updates, build_performance
from mlengine.bootstrap.signals import build_signals, build_slice_scorer
from mlengine.bootstrap.stores import Stores, build_bar_quality
from mlengine.bootstrap.training import build_cluster, build_fan_out
from mlengine.config import Settings
from mlengine.services.bars.quality import BarQualityService
from mlengine.services.bars.service import BarService
from mlengine.services.bars.windows import FetchPool
from mlengine.services.features.service import FeatureService
from mlengine.services.models.maintenance import RegistryMaintenance
from mlengine.services.models.service import ModelService
from mlengine.services.monitoring.drift import DriftService
from mlengine.services.monitoring.service import MonitoringService
from mlengine.services.monitoring.updates import MonitoringUpdates
from mlengine.services.outcomes.performance import PerformanceService
from mlengine.services.overview.service import OverviewService
from mlengine.services.predictions.prediction_counts import PredictionCounts
from mlengine.services.predictions.prefetch import NewBarPrefetch
from mlengine.services.predictions.replay import ReplayService
from mlengine.services.predictions.service import PredictService
from mlengine.services.signals.panel import SignalService
from mlengine.services.signals.scoring import SliceScorer
from mlengine.services.training.pipeline import TrainingPipeline
from mlengine.services.training.reproduction import ReproductionService
from mlengine.services.training.run_executor import RunExecutor
from mlengine.stores.features.vector_cache import FeatureVectorCache
from mlengine.stores.registry.loader import ModelLoader
from mlengine.stores.registry.registry import Registry
from mlengine.stores.training.feature_spill import SpillFolder

# More threads wait for each other on a busy machine; the trees are the same on any number.
TRAINING_THREADS = 1


@dataclass(frozen=True, kw_only=True)
class LineServices:
    """What a line has of its own: its models, their trainings and how they do."""

    control: ControlPlane
    registry: Registry
    loader: ModelLoader
    bars: BarService
    bar_quality: BarQualityService
    features: FeatureService
    predict: PredictService
    run_executor: RunExecutor
    reproduction: ReproductionService
    models: ModelService
    maintenance: RegistryMaintenance
    monitoring: MonitoringService
    drift: DriftService
    monitoring_updates: MonitoringUpdates
    performance: PerformanceService
    overview: OverviewService
    replay: ReplayService
    signals: SignalService
    slice_scorer: SliceScorer


@dataclass(frozen=True)
class SharedCaches:
    """What the lines of a process have in common: feature rows, threads and counts."""

    vectors: FeatureVectorCache
    counts: PredictionCounts
    pool: FetchPool = field(default_factory=FetchPool)


def build_line_services(
    settings: Settings, control: ControlPlane, stores: Stores, caches: SharedCaches
) -> LineServices:
    """The use cases of the line that `control` and `stores` are of; connects to nothing yet."""
    models = ModelService(
        stores.registry, stores.loader, control.events, settings.access.activation_approvals
    )
    reproduction = ReproductionService(
        stores.registry, stores.feature_sets, stores.bars, TRAINING_THREADS, _spills(settings)
    )
    maintenance = RegistryMaintenance(
        stores.registry, control.run_store, control.events, stores.audit
    )
    drift = build_drift(settings, control, stores.registry)
    predict = _predict(stores, control.clock, caches, control.line)
    monitoring, performance = _monitoring(control, stores), build_performance(control, stores)
    return LineServices(
        control=control,
        registry=stores.registry,
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
            _run_executor(settings, control, stores, models, reproduction, maintenance),
            models_keep=settings.registry.keep,
        ),
        reproduction=reproduction,
        models=models,
        maintenance=maintenance,
        monitoring=monitoring,
        drift=drift,
        monitoring_updates=build_monitoring_updates(control, stores, drift),
        performance=performance,
        overview=OverviewService(
            stores.loader,
            drift,
            performance,
            monitoring,
            control.update_lease,
            stores.usability_limits.max_model_age_days,
            updates=settings.monitoring.every_seconds > 0,
        ),
        replay=ReplayService(stores.replay_inputs, stores.loader, stores.bars, control.events),
        signals=build_signals(control, stores),
        slice_scorer=build_slice_scorer(settings, control, stores, predict),
    )


def _monitoring(control: ControlPlane, stores: Stores) -> MonitoringService:
    return MonitoringService(
        stores.audit,
        control.events,
        lambda: stores.loader.active().manifest,
        stores.bars.interval,
        stores.bars.bar_ages,
    )


def _predict(
    stores: Stores, clock: Callable[[], datetime], caches: SharedCaches, line: str
) -> PredictService:
    return PredictService(
        stores.bars,
        stores.loader,
        stores.audit,
        time.perf_counter,
        partial(_new_prediction_ids, clock),
        NewBarPrefetch(stores.bars, stores.loader, caches.vectors, time.perf_counter),
        pool=caches.pool,
        limits=stores.usability_limits,
        vector_cache=caches.vectors,
        counts=caches.counts,
        line=line,
    )


def _spills(settings: Settings) -> SpillFolder:
    return SpillFolder(settings.artifacts_dir / "spill", settings.train_memory_mb * 1_000_000)


def _run_executor(
    settings: Settings,
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
        spills=_spills(settings),
        fan_out=build_fan_out(settings, control.fold_helpers),
        cluster=build_cluster(settings),
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
