"""Freshness, latency and the history of events."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from mlengine.core.bars.intervals import interval_end
from mlengine.core.monitoring.event import Event
from mlengine.core.pagination import Page
from mlengine.errors import MlengineError
from mlengine.services.bars.bar_ages import BarAgeService
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.database.events import EventStore
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.registry.loader import ModelLoader

_STAGES = ("bars", "features", "model", "total")
_LATENCY_ROWS = 5_000
# What an answer waits for at most, to know which bars were to be expected of late symbols.
_EXPECTATIONS_SECONDS = 2.0
_QUANTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99}


@dataclass(frozen=True)
class SymbolFreshness:
    """`age_seconds` since the bar was final, `age_bars` in bars that were expected since.

    `revised_bars` counts the bars that came with other values later than when first recorded.
    """

    symbol: str
    last_bar: datetime
    age_seconds: float
    age_bars: float
    stale: bool
    revised_bars: int = 0


@dataclass(frozen=True)
class ModelFreshness:
    version: str
    trained_at: datetime
    age_seconds: float
    trained_through: datetime


@dataclass(frozen=True)
class Freshness:
    symbols: tuple[SymbolFreshness, ...]
    model: ModelFreshness | None
    last_prediction_at: datetime | None


@dataclass(frozen=True)
class StageLatency:
    """Exact quantiles over the audited predictions of a window; `error_rate` is the route's."""

    route: str
    stage: str
    count: int
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    error_rate: float


@dataclass(frozen=True)
class Latencies:
    window_seconds: int
    routes: tuple[StageLatency, ...]


@dataclass(frozen=True)
class MonitoringService:
    audit: AuditStore
    events: EventStore
    loader: ModelLoader
    interval: str
    bar_ages: BarAgeService

    def history(
        self,
        *,
        kind: str | None,
        limit: int,
        cursor: str | None,
        actor: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Page[Event]:
        """Events, newest first; raises InvalidRequest for a cursor that is not ours."""
        return self.events.page(kind, limit, cursor, actor=actor, since=since, until=until)

    def freshness(self, *, now: datetime) -> Freshness:
        """How old the newest bar of each symbol, the model and the last answer are.

        Of the symbols that were predicted for the present: a backtest makes no feed look dead.
        """
        last_bars = self.audit.last_live_bars(self.interval)
        deadline = Deadline.after(_EXPECTATIONS_SECONDS)
        revised = self.bar_ages.store.revised_bars(self.interval)
        symbols = [
            self._symbol_freshness(name, bar, now, deadline) for name, bar in last_bars.items()
        ]
        return Freshness(
            symbols=tuple(
                replace(each, revised_bars=revised.get(each.symbol, 0)) for each in symbols
            ),
            model=self._model_freshness(now),
            last_prediction_at=self.audit.last_prediction_at(),
        )

    def latency(self, *, window_seconds: int, now: datetime) -> Latencies:
        """Quantiles by route and stage over the predictions of the last seconds, all workers.

        Of the newest 5,000 there, whatever stands in the audit: anyone may ask.
        """
        since = now - timedelta(seconds=window_seconds)
        rows = self.audit.latencies(since, limit=_LATENCY_ROWS)
        routes = rows.partition_by("route", as_dict=True, maintain_order=True)
        latencies = tuple(
            _stage_latency(str(route), stage, frame)
            for (route,), frame in sorted(routes.items())
            for stage in _STAGES
        )
        return Latencies(window_seconds, latencies)

    def _symbol_freshness(
        self, symbol: str, bar: datetime, now: datetime, deadline: Deadline
    ) -> SymbolFreshness:
        since_final = max(now - interval_end(bar, self.interval), timedelta())
        age = self.bar_ages.age(symbol, bar, moment=now, now=now, deadline=deadline)
        return SymbolFreshness(
            symbol,
            last_bar=bar,
            age_seconds=since_final.total_seconds(),
            age_bars=age.bars,
            stale=age.is_stale,
        )

    def _model_freshness(self, now: datetime) -> ModelFreshness | None:
        try:
            manifest = self.loader.active().manifest
        except MlengineError:
            return None
        return ModelFreshness(
            version=manifest.version,
            trained_at=manifest.created_at,
            age_seconds=(now - manifest.created_at).total_seconds(),
            trained_through=manifest.trained_through,
        )


def _stage_latency(route: str, stage: str, rows: pl.DataFrame) -> StageLatency:
    """One line of the table; a stage that no prediction reached has null figures."""
    reached = rows[stage].drop_nulls()
    quantiles = {
        name: reached.quantile(share, interpolation="nearest") for name, share in _QUANTILES.items()
    }
    longest = reached.max()
    return StageLatency(
        route=route,
        stage=stage,
        count=len(reached),
        **quantiles,
        max_ms=float(longest) if isinstance(longest, float) else None,
        error_rate=float((~rows["ok"]).sum()) / rows.height,
    )
