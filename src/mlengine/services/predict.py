"""Predictions: bars known at a moment, their features, one score, and a row in the audit.

No answer leaves before its row is committed, failures included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from mlengine.core.bars import bars_hash
from mlengine.core.intervals import INTERVALS, is_stale
from mlengine.core.manifest import Manifest
from mlengine.core.prediction import (
    Contribution,
    FailedPrediction,
    FeatureSetRef,
    Latency,
    Prediction,
    interpret,
)
from mlengine.errors import MlengineError
from mlengine.services.bars import BarService
from mlengine.services.scoring import Scores, score
from mlengine.services.windows import Crew, Window, fetch_windows
from mlengine.stores.audit import Answered, AuditEntry, AuditStore, Failed
from mlengine.stores.loaded import LoadedModel, ModelShelf


@dataclass(frozen=True)
class Question:
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
class Batch:
    """Results in the order asked."""

    model_version: str
    results: tuple[Prediction | FailedPrediction, ...]


@dataclass(frozen=True)
class _Answers:
    """What was audited, in the order asked, and each refusal by symbol."""

    model: LoadedModel
    entries: Sequence[AuditEntry]
    refused: Mapping[str, MlengineError]


@dataclass(frozen=True)
class PredictService:
    bars: BarService
    shelf: ModelShelf
    audit: AuditStore
    timer: Callable[[], float]
    new_id: Callable[[], str]
    crew: Crew = field(default_factory=Crew)

    def one(
        self,
        symbol: str,
        *,
        as_of: datetime | None,
        version: str | None,
        explain: bool,
        request_id: str,
        now: datetime,
        route: str = "/predict",
    ) -> Prediction:
        """The audited prediction of one symbol; raises its failure once that is audited."""
        answers = self._answer([symbol], Question(as_of, version, explain, request_id, route, now))
        (entry,) = answers.entries
        if isinstance(entry, Failed):
            raise answers.refused[symbol]
        return entry.prediction

    def batch(
        self,
        symbols: Sequence[str],
        *,
        as_of: datetime | None,
        version: str | None,
        request_id: str,
        now: datetime,
        route: str = "/predict/batch",
    ) -> Batch:
        """One pass over all symbols, one transaction; a bad symbol fails alone.

        Raises only what makes every item fail alike: the model, or the audit store.
        """
        question = Question(as_of, version, False, request_id, route, now)
        answers = self._answer(symbols, question)
        return Batch(
            answers.model.version,
            tuple(
                entry.prediction if isinstance(entry, Answered) else entry.failure
                for entry in answers.entries
            ),
        )

    def _answer(self, symbols: Sequence[str], question: Question) -> _Answers:
        started = self.timer()
        with self._common_failure_audited(symbols, question, started):
            model = self._model(question)
            windows = fetch_windows(
                self.bars,
                list(dict.fromkeys(symbols)),
                count=model.feature_set.window_bars,
                as_of=question.as_of,
                now=question.now,
                timer=self.timer,
                crew=self.crew,
            )
            scores = score(model, windows.full, explain=question.explain, timer=self.timer)
            entries: list[AuditEntry] = [
                self._failed(symbol, windows.refused[symbol], question, started, model.version)
                if symbol in windows.refused
                else self._answered(symbol, windows.full[symbol], scores, model, question, started)
                for symbol in symbols
            ]
        self.audit.append(entries)
        return _Answers(model, entries, windows.refused)

    def _model(self, question: Question) -> LoadedModel:
        return self.shelf.get(question.version) if question.version else self.shelf.current()

    def _since(self, started: float) -> float:
        return (self.timer() - started) * 1e3

    @contextmanager
    def _common_failure_audited(
        self, symbols: Sequence[str], question: Question, started: float
    ) -> Iterator[None]:
        """Whatever ends the whole pass stands in the audit before it reaches the caller."""
        try:
            yield
        except BaseException as error:
            known = error if isinstance(error, MlengineError) else MlengineError()
            self.audit.append(
                [self._failed(symbol, known, question, started, None) for symbol in symbols]
            )
            raise

    def _answered(
        self,
        symbol: str,
        window: Window,
        scores: Scores,
        model: LoadedModel,
        question: Question,
        started: float,
    ) -> Answered:
        manifest = model.manifest
        outcome = interpret(scores.raw[symbol], manifest.objective, manifest.label.transform)
        bar = window.bar_timestamp
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
            model_version=manifest.version,
            model_fingerprint=manifest.fingerprint,
            feature_set=FeatureSetRef.of(model.feature_set),
            bars_hash=bars_hash(window.bars),
            trained_through=manifest.trained_through,
            in_sample=_label_begins(bar, manifest) <= manifest.seen_through,
            known_symbol=symbol in manifest.data.symbols,
            base_rate=manifest.base_rate,
            stale=is_stale(bar, manifest.interval, question.moment),
            degraded=question.version is None and self.shelf.refused,
            latency_ms=Latency(
                bars=window.milliseconds,
                features=scores.features_ms,
                model=scores.model_ms,
                total=self._since(started),
            ),
            contributions=_contributions(symbol, scores, model) if question.explain else None,
        )
        return Answered(
            prediction,
            vector=scores.vectors[symbol],
            window=window.bars,
            route=question.route,
            at=question.now,
        )

    def _failed(
        self,
        symbol: str,
        error: MlengineError,
        question: Question,
        started: float,
        model_version: str | None,
    ) -> Failed:
        failure = FailedPrediction(
            prediction_id=self.new_id(),
            request_id=question.request_id,
            symbol=symbol,
            as_of=question.moment,
            model_version=model_version or question.version,
            error_code=error.code,
            detail=str(error),
            latency_ms=Latency(None, None, None, total=self._since(started)),
        )
        return Failed(failure, route=question.route, at=question.now)


def _label_begins(bar: datetime, manifest: Manifest) -> datetime:
    """The earliest start of the bar whose close the label of `bar` begins with."""
    return bar + manifest.label_delay_bars * INTERVALS[manifest.interval]


def _contributions(symbol: str, scores: Scores, model: LoadedModel) -> tuple[Contribution, ...]:
    """SHAP values of each feature, the largest first."""
    parts = zip(
        model.feature_set.names,
        scores.vectors[symbol].tolist(),
        scores.contributions[symbol].tolist(),
        strict=False,  # the expected value stands last and belongs to no feature
    )
    found = [Contribution(name, None if math.isnan(x) else x, part) for name, x, part in parts]
    return tuple(sorted(found, key=lambda each: abs(each.contribution), reverse=True))
