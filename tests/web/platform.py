"""A whole platform in memory, for the tests of the HTTP door; it has two versions."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace

from tests.published import draft
from tests.web.answers import DAY, FakeFeatureService, FakePredictService
from tests.web.hooks import FakeHookService, FakeOutbox
from tests.web.overview import FakeOverviewService
from tests.web.signals import FakeSignalService, NoExports

from mlengine import errors
from mlengine.core.evaluation import MetricEstimate, Verdict
from mlengine.core.lines.line import LineDefinition
from mlengine.core.lines.rules import Refusals
from mlengine.core.monitoring.drift.check import FeatureDrift
from mlengine.core.monitoring.drift.log_loss import LogLossEstimate
from mlengine.core.monitoring.drift.windows import DriftWindow
from mlengine.core.monitoring.event import Event, EventKind
from mlengine.core.monitoring.skill.report import start_record, tell_skill
from mlengine.core.outcomes.performance import BarFigures, PartFigures
from mlengine.core.outcomes.report import Coverage, Performance, TrainedFigures
from mlengine.core.pagination import Page, decode_cursor, encode_cursor
from mlengine.core.predictions.prediction import AuditRow, Latency
from mlengine.core.predictions.replay import ReplayResult
from mlengine.core.promotion.diebold_mariano import DieboldMariano
from mlengine.core.runs.progress import Progress
from mlengine.core.runs.run import Run
from mlengine.core.telemetry.families import (
    BOUNDS_MS,
    HTTP_DURATION,
    HTTP_REQUESTS,
    Sample,
    Samples,
)
from mlengine.core.telemetry.latency_slots import StageLatency
from mlengine.core.training.spec import TrainSpec
from mlengine.core.versions.comparison import CommonRows, Comparison, MetricPair
from mlengine.core.versions.manifest import Manifest
from mlengine.core.versions.recipe_diff import RecipeDiff
from mlengine.services.keys.authentication import Authentication
from mlengine.services.lines.host_offers import HostOffers
from mlengine.services.lines.service import LineService, LineSummary
from mlengine.services.models.catalog import ModelList, ModelSummary
from mlengine.services.models.service import Activation, PendingActivation
from mlengine.services.monitoring.drift import DriftAlarmReport, ModelDrift
from mlengine.services.monitoring.health import Health
from mlengine.services.monitoring.service import (
    Freshness,
    ModelFreshness,
    SymbolFreshness,
)
from mlengine.services.runs.service import RunRequest
from mlengine.services.telemetry.latencies import Latencies
from mlengine.stores.audit.filter import EVERYTHING, AuditFilter
from mlengine.stores.database.clock import host_clock
from mlengine.stores.keys.key_ring import KeyRing
from mlengine.stores.lines.store import Change
from mlengine.stores.system.dependency_states import DependencyStates
from mlengine.stores.telemetry.counters import Counters

SPEC = TrainSpec(
    symbols=("AAPL", "MSFT"),
    lookback=2520,
    test_size=0.2,
    seed=42,
    folds=5,
    horizon_bars=5,
    embargo_bars=0,
    objective="direction",
    feature_set="core",
    activate="if_better",
    refit="none",
    label_delay_bars=0,
    interval="1d",
)
OFFERS = HostOffers(
    lambda interval, _: None if interval == "1d" else f"there is no {interval}",
    lambda: {"core": 64},
)


@dataclass(frozen=True)
class FakeRunService:
    live: list[Run] = field(default_factory=list)
    queue_up: bool = True

    def request_training(self, overrides: Mapping[str, object], request: RunRequest) -> Run:
        key = request.idempotency_key
        spec = dataclasses.replace(SPEC, **overrides)  # type: ignore[arg-type]
        if not self.queue_up:
            raise errors.QueueUnavailable("connection refused")
        if key and self.live and self.live[0].idempotency_key == key:
            if self.live[0].body_hash != str(overrides):
                raise errors.IdempotencyKeyReused
            return self.live[0]
        if self.live:
            raise errors.TrainingInProgress(self.live[0].run_id)
        self.live.append(
            Run(
                run_id=request.run_id,
                seq=1,
                state="queued",
                spec=json.dumps(spec.to_dict()),
                idempotency_key=key,
                body_hash=str(overrides),
                actor=request.actor,
                request_id=request.request_id,
                traceparent=request.traceparent,
                queued_at=request.now,
                progress=Progress("folds", 42.5, fold=2, folds=5, iteration=30),
            )
        )
        return self.live[0]

    def status(self, run_id: str | None, *, now: datetime) -> Run | None:  # noqa: ARG002
        if run_id is None:
            return self.live[-1] if self.live else None
        for run in self.live:
            if run.run_id == run_id:
                return run
        raise errors.RunNotFound(run_id)

    def request_reproduction(self, version: str, request: RunRequest) -> Run:
        spec = json.dumps({"version": version})
        self.live.append(
            Run(
                run_id=request.run_id,
                seq=1,
                kind="reproduce",
                state="queued",
                spec=spec,
                actor=request.actor,
                request_id=request.request_id,
                queued_at=request.now,
            )
        )
        return self.live[0]

    def page(
        self,
        *,
        limit: int,
        cursor: str | None,
        state: str | None,
        now: datetime,  # noqa: ARG002
    ) -> Page[Run]:
        if cursor:
            decode_cursor(cursor)
        runs = [run for run in self.live if state in (None, run.state)]
        return Page(tuple(runs[:limit]), encode_cursor(7) if len(runs) > limit else None)

    def cancel(self, run_id: str | None, *, actor: str, now: datetime) -> Run:  # noqa: ARG002
        if not self.live:
            raise errors.RunNotFound(run_id) if run_id else errors.NoUnfinishedRun
        if run_id == "ended":
            raise errors.RunNotCancellable(run_id, "succeeded")
        self.live[0] = dataclasses.replace(self.live[0], state="cancelled")
        return self.live[0]

    def workers(self) -> int | None:
        return 1 if self.queue_up else None


@dataclass(frozen=True)
class FakeModelService:
    active: list[str | None] = field(default_factory=lambda: ["v2"])
    done: list[tuple[str, str, str]] = field(default_factory=list)

    def list(self) -> ModelList:
        return ModelList(
            self.active[0],
            (
                ModelSummary("v1", "corrupt", False),
                ModelSummary(
                    "v2",
                    "active",
                    True,
                    created_at=DAY,
                    trained_through=DAY,
                    fingerprint="ef" * 32,
                    metrics={"auc": MetricEstimate(0.51, 0.5, "coin_flip", low=0.47, high=0.55)},
                    verdict=Verdict("no_edge", "auc", 0.51, 0.5, 0.47, 0.55),
                ),
            ),
        )

    def get(self, version: str) -> tuple[Manifest, bool]:
        if version == "v1":
            raise errors.ArtifactCorrupt("v1", "model.txt has another digest")
        if version != "v2":
            raise errors.ModelNotFound(version)
        return manifest(version), True

    def compare(self, a: str, b: str) -> Comparison:
        for version in {a, b} - {"v3"}:
            self.get(version)
        none = Comparison(a=a, b=b, loss="log_loss", reason="no_common_rows", recipe=())
        if a == "v3":
            return none
        return dataclasses.replace(
            none,
            reason=None,
            common=CommonRows(900, 300, 3, DAY, DAY),
            metrics=(MetricPair("auc", 0.51, None),),
            test=DieboldMariano(300, 0.001, 1.5, 0.0673, "rectangular", 4),
            correlation=0.9,
            recipe=(RecipeDiff("params.max_bin", 63, None),),
        )

    def activate(
        self,
        version: str,
        *,
        actor: str,
        reason: str,
        now: datetime,  # noqa: ARG002
        kind: EventKind = "activated",  # noqa: ARG002
    ) -> Activation:
        self.get(version)
        self.done.append((version, actor, reason))
        before, self.active[0] = self.active[0], version
        return Activation(version, before, len(self.done) + 1, actor)

    def request_activation(
        self, version: str, *, actor: str, reason: str, now: datetime
    ) -> Activation | PendingActivation:
        return self.activate(version, actor=actor, reason=reason, now=now)

    def rollback(self, *, actor: str, now: datetime) -> Activation:  # noqa: ARG002
        if not self.done:
            raise errors.NoPreviousModel
        return Activation("v1", "v2", 3, actor)

    def reload(self, *, actor: str, now: datetime) -> SimpleNamespace:  # noqa: ARG002
        if self.active[0] is None:
            raise errors.NoActiveModel
        return SimpleNamespace(version="v2", manifest=manifest("v2"), generation=1)


@dataclass(frozen=True)
class FakeDriftService:
    def drift(
        self,
        *,
        window: DriftWindow,
        version: str | None,
        mode: str = "grid",  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> ModelDrift:
        return ModelDrift(
            status="insufficient_data",
            reason="too_few_rows",
            model_version=version or "v2",
            n_reference=2000,
            n_current=min(window.bars or 7, 12),
            dates=3,
            since=DAY,
            through=DAY,
            score=None,
            threshold=None,
            calibration_windows=0,
            features=(FeatureDrift("rsi_14", None, None),),
            prediction_drift=None,
            log_loss=LogLossEstimate(0.69, 0.68),
            alarm=DriftAlarmReport(1.5, 126.0, DAY, DAY, 0, None, (), ("rsi_14",)),
            updated_at=DAY,
        )


@dataclass(frozen=True)
class FakeMonitoringService:
    def history(
        self,
        *,
        kind: str | None,
        limit: int,
        cursor: str | None,
        actor: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        all_lines: bool = False,  # noqa: ARG002
    ) -> Page[Event]:
        at = since or (until - timedelta(days=1) if until else DAY)
        first = decode_cursor(cursor) if cursor else 10
        events = tuple(
            Event(
                kind=kind or "trained",
                at=at,
                version=f"v{n}",
                actor=actor or "ann",
                details={"n": n},
            )
            for n in range(first, max(first - limit, 0), -1)
        )
        return Page(events, encode_cursor(first - limit) if first > limit else None)

    def freshness(self, *, now: datetime) -> Freshness:  # noqa: ARG002
        return Freshness(
            (SymbolFreshness("AAPL", DAY, 86400.0, 1.0, False),),
            ModelFreshness("v2", DAY, 3600.5, DAY),
            None,
        )


class FakePerformanceService:
    def performance(
        self,
        *,
        version: str | None,
        window: int,
        symbol: str | None,
        group: str | None,
        now: datetime,
    ) -> Performance:
        manifest = draft()
        trained = TrainedFigures(manifest.metrics, manifest.verdict, DAY, DAY, manifest.base_rate)
        return Performance(
            model_version=version or "v2",
            objective="direction",
            horizon_bars=5,
            window=window,
            symbol=symbol,
            group=group,
            status="insufficient_data",
            computed_at=now,
            coverage=Coverage(3, 1, 1, 1, 6, 0, {"no_bars": 1}),
            first_bar=None,
            last_bar=None,
            rows=1,
            dates=1,
            symbols=1,
            metrics=manifest.metrics,
            calibration=None,
            sign_rule=None,
            bootstrap=None,
            verdict=None,
            training=trained,
            skill=tell_skill(start_record(None, steps_ahead=5), version=None, reason="none"),
            by_symbol=(PartFigures("AAPL", 1, 0.7, 0.69, 1.0, None),),
            by_group=(),
            by_bar=(BarFigures(DAY, 1, 0.7, 0.69, 1.0, None, None),),
        )


@dataclass(frozen=True)
class FakeAuditService:
    rows: list[AuditRow] = field(default_factory=list)
    calls: list[tuple[object, ...]] = field(default_factory=list)
    spooled: bool = False

    def get(self, prediction_id: str) -> AuditRow:
        for row in self.rows:
            if row.prediction_id == prediction_id:
                return row
        raise errors.PredictionNotFound(prediction_id, spooled=self.spooled)

    def recent(
        self, audit_filter: AuditFilter = EVERYTHING, *, limit: int, cursor: str | None = None
    ) -> Page[AuditRow]:
        if cursor:
            decode_cursor(cursor)
        self.calls.append((audit_filter.since, audit_filter.until, audit_filter.ok))
        rows = [row for row in self.rows if audit_filter.symbol in (None, row.symbol)]
        return Page(tuple(rows[:limit]), encode_cursor(7) if len(rows) > limit else None)

    def clear(self, *, actor: str, now: datetime) -> int:  # noqa: ARG002
        count = len(self.rows)
        self.rows.clear()
        return count


@dataclass(frozen=True)
class FakeEventStore:
    """`refusal` is what the history can't be written for."""

    written: list[Event] = field(default_factory=list)
    refusals: list[errors.MlengineError] = field(default_factory=list)

    def append(
        self,
        kind: EventKind,
        *,
        at: datetime,
        version: str | None,
        actor: str | None,
        details: Mapping[str, object],
        generation: int | None = None,  # noqa: ARG002
        lock_timeout_seconds: float | None = None,  # noqa: ARG002
        waits_by_itself: bool = False,  # noqa: ARG002
    ) -> None:
        if self.refusals:
            raise self.refusals[0]
        self.written.append(Event(kind=kind, at=at, version=version, actor=actor, details=details))


@dataclass(frozen=True)
class FakeReplayService:
    calls: list[dict[str, object]] = field(default_factory=list)

    def replay(
        self,
        prediction_id: str,
        *,
        check_upstream: bool,
        actor: str,
        request_id: str | None,
        now: datetime,  # noqa: ARG002
    ) -> ReplayResult:
        if prediction_id != "p9":
            raise errors.PredictionNotFound(prediction_id)
        self.calls.append(
            {"check_upstream": check_upstream, "actor": actor, "request_id": request_id}
        )
        return ReplayResult(
            "p9",
            "AAPL",
            DAY,
            "v2",
            "features",
            recorded_score=0.51,
            replayed_score=0.52,
            differing_features=("rsi_14",),
            upstream="changed",
        )


@dataclass(frozen=True)
class FakeHealthService:
    states: DependencyStates
    refusals: list[errors.MlengineError] = field(default_factory=list)

    def health(self) -> Health:
        parts = ("redis", "audit", "upstream", "workers", "model")
        checks = {part: self.states.state(part) for part in parts}
        return Health("ok", "0.1.0", "staging", "v2", "v2", checks)

    def ready(self) -> str:
        if self.refusals:
            raise self.refusals[0]
        return "v2"


@dataclass(frozen=True)
class FakeLineService:
    def list(self) -> tuple[LineSummary, ...]:
        return (self._summary("main"), self._summary("slow"))

    def refusals(self, name: str | None, definition: LineDefinition) -> Refusals:
        service = LineService(*[None] * 4, SPEC, None, OFFERS)  # type: ignore[arg-type, list-item]
        return service.refusals(name, definition)

    def save(
        self, name: str, definition: LineDefinition, *, actor: str, now: datetime
    ) -> tuple[LineSummary, Change]:
        if name == "main":
            raise errors.InvalidRequest({"name": ["main is what the settings say"]})
        line = dataclasses.replace(
            self._summary(name), own=definition.recipe, actor=actor, changed_at=now
        )
        return line, "changed" if name == "slow" else "created"

    def retire(self, name: str, *, actor: str, now: datetime) -> LineSummary:
        if name == "main":
            raise errors.InvalidRequest({"name": ["main can't be retired"]})
        if name != "slow":
            raise errors.LineNotFound(name)
        line = self._summary(name)
        return dataclasses.replace(line, state="retired", actor=actor, changed_at=now)

    def _summary(self, name: str) -> LineSummary:
        return LineSummary(
            name=name,
            state="active",
            revision=1,
            active_version="v1",
            versions=1,
            live_run_id=None,
            interval="1d",
            recipe=SPEC.to_dict(),
            own={},
            schedule=None,
            schedule_activate=None,
            note=None,
            created_at=DAY,
            changed_at=DAY,
            actor="ann",
        )


@dataclass(frozen=True)
class FakeControlPlane:
    runs: FakeRunService = field(default_factory=FakeRunService)
    events: FakeEventStore = field(default_factory=FakeEventStore)
    clock: Callable[[], datetime] = host_clock
    hooks: FakeHookService = field(default_factory=FakeHookService)
    outbox: FakeOutbox = field(default_factory=FakeOutbox)
    lines: FakeLineService = field(default_factory=FakeLineService)
    signal_exports: NoExports = field(default_factory=NoExports)

    def take_line_files(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True)
class FakeLatencyService:
    def latency(self, *, window_seconds: int, now: datetime) -> Latencies:  # noqa: ARG002
        line = StageLatency("/predict", "model", 3, 0.1, 0.2, 0.3, 0.3, 0.25)
        return Latencies(window_seconds, (line,))


@dataclass(frozen=True)
class FakeMetricsService:
    def samples(self, *, now: datetime) -> Sequence[Samples]:  # noqa: ARG002
        counts = (1.0,) * (len(BOUNDS_MS) + 1)
        return [
            Samples(HTTP_REQUESTS, [Sample(("/predict", "GET", "200"), 3.0)]),
            Samples(HTTP_DURATION, [Sample(("/predict", "GET"), 0.5, counts)]),
        ]

    hooks: FakeHookService = field(default_factory=FakeHookService)


@dataclass(frozen=True)
class FakePlatform:
    control: FakeControlPlane = field(default_factory=FakeControlPlane)
    states: DependencyStates = field(default_factory=DependencyStates)
    counters: Counters = field(default_factory=Counters)
    latencies: FakeLatencyService = field(default_factory=FakeLatencyService)
    metrics: FakeMetricsService = field(default_factory=FakeMetricsService)
    features: FakeFeatureService = field(default_factory=FakeFeatureService)
    predict: FakePredictService = field(default_factory=FakePredictService)
    models: FakeModelService = field(default_factory=FakeModelService)
    monitoring: FakeMonitoringService = field(default_factory=FakeMonitoringService)
    drift: FakeDriftService = field(default_factory=FakeDriftService)
    performance: FakePerformanceService = field(default_factory=FakePerformanceService)
    audit: FakeAuditService = field(default_factory=FakeAuditService)
    replay: FakeReplayService = field(default_factory=FakeReplayService)
    signals: FakeSignalService = field(default_factory=FakeSignalService)
    keys: Authentication = field(
        default_factory=lambda: Authentication(
            {"admin": "a-test-key-of-thirty-two-letters"}, KeyRing(None)
        )
    )

    def of_line(self, name: str, *, must_serve: bool = False) -> FakePlatform:  # noqa: ARG002
        if name != "main":
            raise errors.LineNotFound(name)
        return self

    @property
    def overview(self) -> FakeOverviewService:
        return FakeOverviewService(self.drift, self.performance)

    @property
    def health(self) -> FakeHealthService:
        return FakeHealthService(self.states)


def failed_row(symbol: str = "NOPE") -> AuditRow:
    values = {
        "prediction_id": "p9",
        "request_id": "r9",
        "at": DAY,
        "route": "/predict",
        "ok": False,
        "error_code": "unknown_symbol",
        "error_detail": "the upstream knows no symbol 'NOPE'",
        "symbol": symbol,
        "as_of": DAY,
        "latency_ms": Latency(1.0, None, None, 1.5),
    }
    empty = {each.name: None for each in dataclasses.fields(AuditRow)}
    return AuditRow(**(empty | {"model": "main"} | values))  # type: ignore[arg-type]


def manifest(version: str) -> Manifest:
    return draft(version=version, created_at=DAY, fingerprint="ef" * 32)
