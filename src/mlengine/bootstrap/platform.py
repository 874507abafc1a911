"""The platform: every use case over its stores; loads Polars and LightGBM."""

import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from mlengine import __version__
from mlengine.bootstrap.control import ControlPlane, build_control
from mlengine.bootstrap.drift import drift_of_line
from mlengine.bootstrap.keys import build_key_ring
from mlengine.bootstrap.lines import control_of_line, settings_of_line
from mlengine.bootstrap.models import LineServices, SharedCaches, build_line_services
from mlengine.bootstrap.monitoring import build_metrics, updates_of_all_lines
from mlengine.bootstrap.stores import Stores, open_stores, stores_of_line
from mlengine.config import Settings
from mlengine.core.line_names import MODEL_LINE
from mlengine.core.lines.line import ModelLine
from mlengine.errors import ArtifactsUnavailable, LineNotFound, LineRetired
from mlengine.services.audit.service import AuditService
from mlengine.services.keys.authentication import Authentication
from mlengine.services.lines.directory import LineDirectory
from mlengine.services.monitoring.health import HealthService, LineHealth, WorkerCountProbe
from mlengine.services.monitoring.updates import MonitoringUpdates
from mlengine.services.predictions.prediction_counts import PredictionCounts
from mlengine.services.signals.exports import ExportWriter
from mlengine.services.signals.panel import SignalService
from mlengine.services.signals.scoring import SliceScorer
from mlengine.services.signals.worker import SignalWorker
from mlengine.services.telemetry.latencies import LatencyService
from mlengine.services.telemetry.latency_recorder import LatencyRecorder
from mlengine.services.telemetry.metrics import MetricsService
from mlengine.stores.features.vector_cache import FeatureVectorCache
from mlengine.stores.keys.key_ring import KeyRing
from mlengine.stores.registry.shared.poll import RegistryPoll
from mlengine.stores.system.dependency_states import DependencyStates
from mlengine.stores.telemetry.counters import Counters

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Platform(LineServices):
    """Every use case; those that need neither bars nor a model in memory are in `control`.

    What the services of a line answer is about the line `main`, and `of_line` has those of others.
    """

    keys: Authentication
    states: DependencyStates
    registry_poll: RegistryPoll
    audit: AuditService
    health: HealthService
    counters: Counters
    latencies: LatencyService
    metrics: MetricsService
    lines: "LinePlatforms"

    def of_line(self, name: str, *, must_serve: bool = False) -> "Platform":
        """The platform of a model line.

        Raises LineNotFound, or LineRetired where it `must_serve` and does no more.
        """
        if name == MODEL_LINE:
            return self
        directory = self.control.lines.directory
        line = directory.find_active(name) if must_serve else directory.find(name)
        return self.lines.get(self, line)

    def line_at_hand(self, name: str) -> "Platform | None":
        """As `of_line` of a line that serves, where nothing has to be read for it, else None."""
        if name == MODEL_LINE:
            return self
        line = self.control.lines.directory.at_hand(name)
        return self.lines.at_hand(line) if line is not None else None

    def updates_of_all_lines(self) -> MonitoringUpdates:
        """What is to be taken in of each line; raises DatabaseUnavailable."""
        return updates_of_all_lines(
            self.control, lambda name: self.of_line(name).monitoring_updates
        )

    def signal_worker(self, lines: Sequence[str], *, holder: str) -> SignalWorker:
        """What scores the bars of these lines; one that is not there is passed over, and named."""
        named = set[str]()

        def scorers() -> dict[str, SliceScorer]:
            found = {}
            for name in lines:
                try:
                    found[name] = self.of_line(name, must_serve=True).slice_scorer
                except (LineNotFound, LineRetired) as error:
                    if name not in named:
                        named.add(name)
                        log.warning("no line for SIGNALS", extra={"reason": str(error)})
            return found

        return SignalWorker(scorers, self.control.signal_plans, self.control.clock, holder)

    def export_writer(self, *, holder: str) -> ExportWriter:
        """What writes long panels of signals, of whichever line."""

        def signals_of(name: str) -> SignalService:
            return self.of_line(name).signals

        store = self.control.signal_exports
        return ExportWriter(store, signals_of, self.control.clock, holder)


@dataclass
class LinePlatforms:
    """The platforms of the lines that this process was asked for; safe for threads.

    A line that was changed gets another one. Models in memory are those of its own.
    """

    build: Callable[[ModelLine], LineServices]
    _built: dict[str, tuple[ModelLine, Platform]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def at_hand(self, line: ModelLine) -> Platform | None:
        """That of `line`, where it is there already."""
        known = self._built.get(line.name)
        return known[1] if known is not None and known[0] == line else None

    def health(self, directory: LineDirectory) -> Sequence[LineHealth]:
        """Of those that serve, as they are in memory; reads no more than each `ACTIVE`."""
        found = []
        for name, (_, platform) in sorted(self._built.copy().items()):
            active, loaded = platform.registry.active.read_or_none(), platform.loader.loaded_version
            if not directory.is_known_as_retired(name):
                found.append(LineHealth(name, active.version if active else None, loaded))
        return found

    def get(self, main: Platform, line: ModelLine) -> Platform:
        """That of `line`, which has the rest in common with `main`.

        Only who asks for a new one waits for others that are made, and for their registry.
        """
        if (there := self.at_hand(line)) is not None:
            return there
        with self._lock:
            if (there := self.at_hand(line)) is not None:
                return there
            services = self.build(line)
            with suppress(ArtifactsUnavailable):  # what this host has of it serves
                services.registry.refresh()
            main.registry_poll.watch(services.registry)
            platform = replace(main, **vars(services))
            self._built[line.name] = line, platform
            return platform


def build_platform(settings: Settings) -> Platform:
    """The whole platform; connects to nothing yet.

    Raises BadSetting for a feature set that does not exist.
    """
    control = build_control(settings)
    stores = open_stores(settings, database=control.database)
    caches = SharedCaches(
        FeatureVectorCache.for_symbols(settings.bars_cache_symbols, stores.counters),
        PredictionCounts(stores.counters),
    )
    services = build_line_services(settings, control, stores, caches)
    keys = Authentication(settings.admin_api_keys, build_key_ring(settings))
    lines = LinePlatforms(partial(_build_line, settings, control, stores, caches))
    health = replace(
        _health(settings, control, stores, keys.ring),
        lines=partial(lines.health, control.lines.directory),
    )
    return Platform(
        **vars(services),
        keys=keys,
        states=stores.states,
        registry_poll=stores.registry_poll,
        audit=AuditService(stores.audit),
        health=health,
        counters=stores.counters,
        latencies=_latencies(control, stores.counters, caches.counts),
        metrics=build_metrics(
            settings,
            control,
            health,
            services.monitoring,
            services.drift,
            partial(drift_of_line, control.database, level=services.drift.level),
            stores.states,
        ),
        lines=lines,
    )


def _build_line(
    settings: Settings,
    control: ControlPlane,
    stores: Stores,
    caches: SharedCaches,
    line: ModelLine,
) -> LineServices:
    own = settings_of_line(settings, line)
    return build_line_services(
        own,
        control_of_line(control, settings, line),
        stores_of_line(stores, own, line.name, database=control.database),
        caches,
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


def _latencies(
    control: ControlPlane, counters: Counters, counts: PredictionCounts
) -> LatencyService:
    table = control.latencies.table
    recorder = LatencyRecorder(counters, counts, table, secrets.token_hex(8))
    return LatencyService(table, recorder)
