"""What an answer says: a score and all that it was made of, or why there is none."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple, TypedDict

from mlengine.core.arrays import Floats
from mlengine.core.bars.bars import BarArrays
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.calendars.age import BarAge
from mlengine.core.predictions.prediction import (
    Contribution,
    FailedPrediction,
    Latency,
    Prediction,
    forecast_from_score,
)
from mlengine.core.predictions.usability import UsabilityLimits
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import MlengineError
from mlengine.services.bars.served import Origin
from mlengine.services.bars.windows import FetchedWindows, Timer
from mlengine.services.predictions.prediction_cache import CachedPrediction
from mlengine.services.predictions.scoring import Scores
from mlengine.stores.audit.entries import AuditedFailure, AuditedPrediction, AuditEntry
from mlengine.stores.audit.vectors import feature_vector_record
from mlengine.stores.registry.loader import LoadedModel


@dataclass(frozen=True)
class PredictionRequest:
    """What is asked, of which model (by default the active one), when, and at which route.

    With `session`, that of its end in each symbol's market stands for `as_of`. Without `audited`
    no row is written; `trace_id`, where it is another id than that of the request, is kept in it.
    """

    request_id: str
    now: datetime
    as_of: datetime | None = None
    version: str | None = None
    explain: bool = False
    route: str = "/predict"
    session: date | None = None
    audited: bool = True
    trace_id: str | None = None

    @property
    def moment(self) -> datetime:
        """The moment whose knowledge answers."""
        return self.as_of or self.now


@dataclass(frozen=True)
class PredictionBuilder:
    """Builds the answers to one request; `started` is by `timer`, in seconds."""

    request: PredictionRequest
    limits: UsabilityLimits
    timer: Timer
    new_id: Callable[[], str]
    started: float

    def build(
        self,
        symbol: str,
        window: BarArrays,
        scores: Scores,
        model: LoadedModel,
        *,
        age: BarAge,
        bars_ms: float,
        degraded: bool,
        origin: Origin,
    ) -> AuditedPrediction:
        """The prediction of one symbol, as it is answered and audited."""
        request, manifest = self.request, model.manifest
        forecast = forecast_from_score(
            scores.score[symbol], manifest.objective, manifest.label.transform
        )
        bar, vector = window.last_timestamp, scores.vectors[symbol]
        reasons = self._reasons(age, vector, manifest, window)
        prediction = Prediction(
            prediction_id=self.new_id(),
            request_id=request.request_id,
            symbol=symbol,
            interval=manifest.interval,
            as_of=request.moment,
            bar_timestamp=bar,
            horizon_bars=manifest.horizon_bars,
            objective=manifest.objective,
            **vars(forecast),
            usable=self.limits.tolerate_all(reasons),
            reasons=reasons,
            model_version=manifest.version,
            model_fingerprint=manifest.fingerprint,
            feature_set=model.feature_set_ref,
            bars_hash=window.bars_hash,
            trained_through=manifest.trained_through,
            in_sample=_label_begins(bar, manifest) <= manifest.seen_through,
            known_symbol=symbol in model.symbols,
            base_rate=manifest.base_rate,
            stale=age.is_stale,
            degraded=degraded or origin.upstream_age_seconds is not None,
            point_in_time=origin.point_in_time,
            bars_age_seconds=origin.upstream_age_seconds,
            latency_ms=self._latency(bars_ms, scores),
            **(_explain(symbol, scores, model) if request.explain else {}),
        )
        scored = feature_vector_record(prediction, vector, window)
        return AuditedPrediction(prediction, scored, request.route, request.now, request.trace_id)

    def restamp(
        self,
        cached: CachedPrediction,
        scores: Scores,
        model: LoadedModel,
        *,
        age: BarAge,
        bars_ms: float,
        degraded: bool,
        origin: Origin,
    ) -> AuditedPrediction:
        """As `build` without an explanation, where the same bars and model have an answer."""
        request, manifest, earlier = self.request, model.manifest, cached.answer.prediction
        forecast = forecast_from_score(
            scores.score[earlier.symbol], earlier.objective, manifest.label.transform
        )
        reasons = self._reasons(age, cached.row, manifest, cached.answer.scored.window)
        prediction = earlier.with_changes(
            **vars(forecast),
            prediction_id=self.new_id(),
            request_id=request.request_id,
            as_of=request.moment,
            usable=self.limits.tolerate_all(reasons),
            reasons=reasons,
            stale=age.is_stale,
            degraded=degraded or origin.upstream_age_seconds is not None,
            point_in_time=origin.point_in_time,
            bars_age_seconds=origin.upstream_age_seconds,
            latency_ms=self._latency(bars_ms, scores),
        )
        scored = cached.answer.scored
        return AuditedPrediction(prediction, scored, request.route, request.now, request.trace_id)

    def failure(
        self, symbol: str, error: MlengineError, model_version: str | None
    ) -> AuditedFailure:
        """Why one symbol has no prediction, as it is answered and audited."""
        request = self.request
        failure = FailedPrediction(
            prediction_id=self.new_id(),
            request_id=request.request_id,
            symbol=symbol,
            as_of=request.moment,
            model_version=model_version or request.version,
            error_code=error.code,
            detail=str(error),
            latency_ms=Latency(None, None, None, total=self.milliseconds()),
        )
        return AuditedFailure(failure, request.route, request.now, request.trace_id)

    def _latency(self, bars_ms: float, scores: Scores) -> Latency:
        return Latency(
            bars=bars_ms,
            features=scores.features_ms,
            model=scores.model_ms,
            total=self.milliseconds(),
        )

    def _reasons(
        self, age: BarAge, vector: Floats, manifest: Manifest, window: BarArrays
    ) -> tuple[str, ...]:
        return self.limits.reasons(
            bar_timestamp=age.start,
            interval=manifest.interval,
            trained_at=manifest.created_at,
            features=vector,
            moment=age.moment,
            age=age,
            suspect_reasons=window.suspect_reasons,
        )

    def milliseconds(self) -> float:
        """How long the request has taken so far."""
        return (self.timer() - self.started) * 1e3


@dataclass(frozen=True)
class PredictionBatch:
    """Results in the order asked."""

    model_version: str
    results: tuple[Prediction | FailedPrediction, ...]


class Answers(NamedTuple):
    """One entry for each symbol that was asked for, in that order, and why symbols failed."""

    model: LoadedModel
    windows: FetchedWindows
    entries: Sequence[AuditEntry]


def _label_begins(bar: datetime, manifest: Manifest) -> datetime:
    """The earliest start of the bar whose close the label of `bar` begins with."""
    return bar + manifest.label_delay_bars * INTERVALS[manifest.interval]


class _Explanation(TypedDict, total=False):
    raw_score: float
    base_value: float
    contributions: tuple[Contribution, ...]


def _explain(symbol: str, scores: Scores, model: LoadedModel) -> _Explanation:
    """SHAP values of each feature, the largest first; with the base they sum to the raw score."""
    *parts, base_value = scores.contributions[symbol].tolist()
    values = scores.vectors[symbol].tolist()
    parts_of_score = [
        Contribution(name, None if math.isnan(value) else value, part)
        for name, value, part in zip(model.feature_set.names, values, parts, strict=True)
    ]
    largest_first = sorted(parts_of_score, key=lambda each: abs(each.contribution), reverse=True)
    return {
        "raw_score": scores.raw[symbol],
        "base_value": base_value,
        "contributions": tuple(largest_first),
    }
