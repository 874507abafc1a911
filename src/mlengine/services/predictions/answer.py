"""What an answer says: a score and all that it was made of, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from mlengine.core.arrays import Floats
from mlengine.core.bars.bars import BarArrays
from mlengine.core.bars.intervals import INTERVALS, is_stale
from mlengine.core.predictions.prediction import (
    Contribution,
    FailedPrediction,
    Latency,
    Prediction,
    interpret,
)
from mlengine.core.predictions.usability import UsabilityLimits
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import MlengineError
from mlengine.services.bars.windows import Timer
from mlengine.services.predictions.answer_cache import CachedPrediction
from mlengine.services.predictions.scoring import Scores
from mlengine.stores.audit.entries import Answered, Failed
from mlengine.stores.audit.vectors import scored_vector
from mlengine.stores.registry.loader import LoadedModel


@dataclass(frozen=True)
class PredictionRequest:
    """What was asked, of which model, when, and at which route."""

    as_of: datetime | None
    version: str | None
    explain: bool
    request_id: str
    route: str
    now: datetime

    @property
    def moment(self) -> datetime:
        """The moment whose knowledge answers."""
        return self.as_of or self.now


@dataclass(frozen=True)
class PredictionBuilder:
    """Where the answers to one question are written; `started` is by `timer`, in seconds."""

    question: PredictionRequest
    limits: UsabilityLimits
    timer: Timer
    new_id: Callable[[], str]
    started: float

    def answered(
        self,
        symbol: str,
        window: BarArrays,
        scores: Scores,
        model: LoadedModel,
        *,
        bars_ms: float,
        degraded: bool,
    ) -> Answered:
        """The prediction of one symbol, as it is answered and audited."""
        question, manifest = self.question, model.manifest
        outcome = interpret(scores.score[symbol], manifest.objective, manifest.label.transform)
        bar, vector = window.last_timestamp, scores.vectors[symbol]
        reasons = self._reasons(bar, vector, manifest)
        prediction = Prediction(
            prediction_id=self.new_id(),
            request_id=question.request_id,
            symbol=symbol,
            interval=manifest.interval,
            as_of=question.moment,
            bar_timestamp=bar,
            horizon_bars=manifest.horizon_bars,
            objective=manifest.objective,
            probability_up=outcome.probability_up,
            expected_return=outcome.expected_return,
            expected_score=outcome.expected_score,
            prediction=outcome.prediction,
            confidence=outcome.confidence,
            usable=not reasons,
            reasons=reasons,
            model_version=manifest.version,
            model_fingerprint=manifest.fingerprint,
            feature_set=model.feature_set_ref,
            bars_hash=window.bars_hash,
            trained_through=manifest.trained_through,
            in_sample=_label_begins(bar, manifest) <= manifest.seen_through,
            known_symbol=symbol in model.symbols,
            base_rate=manifest.base_rate,
            stale=is_stale(bar, manifest.interval, question.moment),
            degraded=degraded,
            latency_ms=self._latency(bars_ms, scores),
            **(_explanation(symbol, scores, model) if question.explain else {}),
        )
        scored = scored_vector(prediction, vector, window)
        return Answered(prediction, scored, route=question.route, at=question.now)

    def answered_again(
        self,
        standing: CachedPrediction,
        scores: Scores,
        model: LoadedModel,
        *,
        bars_ms: float,
        degraded: bool,
    ) -> Answered:
        """As `answered` without an explanation, where the same bars and model have an answer."""
        question, manifest, said = self.question, model.manifest, standing.answer.prediction
        outcome = interpret(scores.score[said.symbol], said.objective, manifest.label.transform)
        reasons = self._reasons(said.bar_timestamp, standing.row, manifest)
        prediction = said.again(
            **vars(outcome),
            prediction_id=self.new_id(),
            request_id=question.request_id,
            as_of=question.moment,
            usable=not reasons,
            reasons=reasons,
            stale=is_stale(said.bar_timestamp, said.interval, question.moment),
            degraded=degraded,
            latency_ms=self._latency(bars_ms, scores),
        )
        return Answered(prediction, standing.answer.scored, question.route, question.now)

    def failed(self, symbol: str, error: MlengineError, model_version: str | None) -> Failed:
        """Why one symbol has no prediction, as it is answered and audited."""
        question = self.question
        failure = FailedPrediction(
            prediction_id=self.new_id(),
            request_id=question.request_id,
            symbol=symbol,
            as_of=question.moment,
            model_version=model_version or question.version,
            error_code=error.code,
            detail=str(error),
            latency_ms=Latency(None, None, None, total=self.milliseconds()),
        )
        return Failed(failure, route=question.route, at=question.now)

    def _latency(self, bars_ms: float, scores: Scores) -> Latency:
        return Latency(
            bars=bars_ms,
            features=scores.features_ms,
            model=scores.model_ms,
            total=self.milliseconds(),
        )

    def _reasons(self, bar: datetime, vector: Floats, manifest: Manifest) -> tuple[str, ...]:
        return self.limits.reasons(
            bar_timestamp=bar,
            interval=manifest.interval,
            trained_at=manifest.created_at,
            features=vector,
            moment=self.question.moment,
        )

    def milliseconds(self) -> float:
        """How long the question has been at the desk."""
        return (self.timer() - self.started) * 1e3


def _label_begins(bar: datetime, manifest: Manifest) -> datetime:
    """The earliest start of the bar whose close the label of `bar` begins with."""
    return bar + manifest.label_delay_bars * INTERVALS[manifest.interval]


class _Explanation(TypedDict, total=False):
    raw_score: float
    base_value: float
    contributions: tuple[Contribution, ...]


def _explanation(symbol: str, scores: Scores, model: LoadedModel) -> _Explanation:
    """SHAP values of each feature, the largest first; with the base they sum to the raw score."""
    *parts, base_value = scores.contributions[symbol].tolist()
    values = scores.vectors[symbol].tolist()
    found = [
        Contribution(name, None if math.isnan(value) else value, part)
        for name, value, part in zip(model.feature_set.names, values, parts, strict=True)
    ]
    largest_first = sorted(found, key=lambda each: abs(each.contribution), reverse=True)
    return {
        "raw_score": scores.raw[symbol],
        "base_value": base_value,
        "contributions": tuple(largest_first),
    }
