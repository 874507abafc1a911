"""What an answer says: a score and all that it was made of, or why there is none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.bars.bars import BarArrays
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.calendars.age import BarAge
from mlengine.core.line_names import MODEL_LINE
from mlengine.core.predictions.prediction import (
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
from mlengine.services.predictions.explanation import explain
from mlengine.services.predictions.model_facts import facts_of_model
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


class SymbolBars(NamedTuple):
    """The bars that one answer is made of, how old they are, and where they come from."""

    window: BarArrays
    age: BarAge
    milliseconds: float
    origin: Origin


@dataclass(frozen=True)
class PredictionBuilder:
    """Builds the answers of a line to one request; `started` is by `timer`, in seconds.

    What answers on bars of one age, origin and quality have in common is made once.
    """

    request: PredictionRequest
    limits: UsabilityLimits
    timer: Timer
    ids: Iterator[str]
    started: float
    line: str = MODEL_LINE
    _shared: dict[tuple[object, ...], Mapping[str, object]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _earlier: list[Prediction] = field(default_factory=list, init=False, repr=False, compare=False)

    def build(
        self, symbol: str, bars: SymbolBars, scores: Scores, model: LoadedModel, *, degraded: bool
    ) -> tuple[AuditedPrediction, bool]:
        """The prediction of one symbol, as it is answered and audited, and if its row is novel."""
        request, manifest, window = self.request, model.manifest, bars.window
        forecast = forecast_from_score(
            scores.score[symbol], manifest.objective, manifest.label.transform
        )
        bar, vector = window.last_timestamp, scores.vectors[symbol]
        novel = self._is_novel(model, vector)
        facts: dict[str, Any] = {
            "prediction_id": next(self.ids),
            "symbol": symbol,
            "bar_timestamp": bar,
            "bars_hash": window.bars_hash,
            "in_sample": _label_begins(bar, manifest) <= manifest.seen_through,
            "known_symbol": symbol in model.symbols,
            **vars(forecast),
            **self._facts_in_common(bars, scores, model, vector, degraded, novel),
            **(explain(symbol, scores, model.feature_set.names) if request.explain else {}),
        }
        if self._earlier:
            prediction = self._earlier[0].with_changes(facts)
        else:
            prediction = Prediction(model=self.line, **facts_of_model(model), **facts)
            self._earlier.append(prediction)
        scored = feature_vector_record(prediction, vector, window)
        entry = AuditedPrediction(prediction, scored, request.route, request.now, request.trace_id)
        return entry, novel

    def restamp(
        self,
        cached: CachedPrediction,
        bars: SymbolBars,
        scores: Scores,
        model: LoadedModel,
        *,
        degraded: bool,
    ) -> AuditedPrediction:
        """As `build` without an explanation, where the same bars and model have an answer."""
        request, earlier = self.request, cached.answer.prediction
        novel = cached.is_novel and self.limits.novel_row_level > 0.0
        facts = self._facts_in_common(bars, scores, model, cached.row, degraded, novel)
        changes = {**facts, "prediction_id": next(self.ids)}
        if (score := scores.score[earlier.symbol]) != cached.score:
            transform = model.manifest.label.transform
            changes |= vars(forecast_from_score(score, earlier.objective, transform))
        prediction = earlier.with_changes(changes)
        scored = cached.answer.scored
        return AuditedPrediction(prediction, scored, request.route, request.now, request.trace_id)

    def _facts_in_common(
        self,
        bars: SymbolBars,
        scores: Scores,
        model: LoadedModel,
        vector: Floats,
        degraded: bool,
        novel: bool,
    ) -> Mapping[str, object]:
        """The fields that are the same in all answers on such bars."""
        age, origin, suspect = bars.age, bars.origin, bars.window.suspect_reasons
        nulls = self.limits.all_features and bool(np.isnan(vector).any())
        key = id(age), origin, suspect, nulls, novel, bars.milliseconds
        facts = self._shared.get(key)
        if facts is None:
            reasons = self._reasons(age, vector, model.manifest, suspect, is_novel=novel)
            facts = self._shared[key] = {
                "request_id": self.request.request_id,
                "as_of": self.request.moment,
                "usable": self.limits.tolerate_all(reasons),
                "reasons": reasons,
                "stale": age.is_stale,
                "degraded": degraded or origin.upstream_age_seconds is not None,
                "point_in_time": origin.point_in_time,
                "bars_age_seconds": origin.upstream_age_seconds,
                "latency_ms": self._latency(bars.milliseconds, scores),
            }
        return facts

    def failure(
        self, symbol: str, error: MlengineError, model_version: str | None
    ) -> AuditedFailure:
        """Why one symbol has no prediction, as it is answered and audited."""
        request = self.request
        failure = FailedPrediction(
            prediction_id=next(self.ids),
            request_id=request.request_id,
            symbol=symbol,
            as_of=request.moment,
            model=self.line,
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
        self,
        age: BarAge,
        vector: Floats,
        manifest: Manifest,
        suspect: tuple[str, ...],
        *,
        is_novel: bool,
    ) -> tuple[str, ...]:
        return self.limits.reasons(
            bar_timestamp=age.start,
            interval=manifest.interval,
            trained_at=manifest.created_at,
            features=vector,
            moment=age.moment,
            age=age,
            suspect_reasons=suspect,
            is_novel=is_novel,
        )

    def _is_novel(self, model: LoadedModel, vector: Floats) -> bool:
        level, novelty = self.limits.novel_row_level, model.novelty
        return level > 0.0 and novelty is not None and novelty.is_novel(vector, level=level)

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
