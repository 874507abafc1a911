"""Predictions: bars known at a moment, their features, one score, and a row in the audit.

No answer leaves before its row is committed, failures included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from mlengine.core.bars.bars import BarArrays
from mlengine.core.predictions.prediction import FailedPrediction, Prediction
from mlengine.core.predictions.usability import UsabilityLimits
from mlengine.errors import MlengineError
from mlengine.services.bars.service import BarService
from mlengine.services.bars.windows import FetchPool, fetch_windows
from mlengine.services.predictions.answer import PredictionBuilder, PredictionRequest
from mlengine.services.predictions.answer_cache import PredictionCache
from mlengine.services.predictions.prefetch import FeaturePrefetch
from mlengine.services.predictions.scoring import Scores, score, score_known
from mlengine.stores.audit.entries import Answered, AuditEntry, Failed
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.features.row_cache import RowCache
from mlengine.stores.registry.loader import LoadedModel, ModelLoader


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
    loader: ModelLoader
    audit: AuditStore
    timer: Callable[[], float]
    new_id: Callable[[], str]
    filling: FeaturePrefetch
    pool: FetchPool = field(default_factory=FetchPool)
    limits: UsabilityLimits = field(default_factory=UsabilityLimits)
    rows: RowCache = field(default_factory=RowCache, repr=False, compare=False)
    standing: PredictionCache = field(default_factory=PredictionCache, repr=False, compare=False)

    def predict(
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
        answers = self._answer(
            [symbol], PredictionRequest(as_of, version, explain, request_id, route, now)
        )
        (entry,) = answers.entries
        if isinstance(entry, Failed):
            raise answers.refused[symbol]
        return entry.prediction

    def predict_batch(
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
        question = PredictionRequest(as_of, version, False, request_id, route, now)
        answers = self._answer(symbols, question)
        return Batch(
            answers.model.version,
            tuple(
                entry.prediction if isinstance(entry, Answered) else entry.failure
                for entry in answers.entries
            ),
        )

    def at_hand(self, symbol: str, *, request_id: str, now: datetime) -> Answered | None:
        """The answer of `one` to a plain question, not audited yet, where nothing is waited for.

        None where a file, the upstream or a feature pass would be, and where there is no answer.
        """
        desk = self._desk(PredictionRequest(None, None, False, request_id, "/predict", now))
        model = self.loader.active_if_loaded() if self.audit.takes_at_once else None
        if model is None:
            return None
        degraded = self.loader.active_refused
        bars = model.feature_set.window_bars
        window = self.bars.cached_window(symbol, bars=bars, as_of=None, now=now)
        if window is None:
            return None
        bars_ms = desk.milliseconds()
        scores = score_known(model, symbol, window, rows=self.rows, timer=self.timer)
        if scores is None:
            return None
        return self._told(desk, symbol, window, scores, model, bars_ms=bars_ms, degraded=degraded)

    def audit_at_once(self, answers: Sequence[Answered]) -> bool:
        """Commit the rows of all `answers`; False where none could be without waiting."""
        return self.audit.append_at_once(answers)

    def _desk(self, question: PredictionRequest) -> PredictionBuilder:
        return PredictionBuilder(
            question, self.limits, self.timer, self.new_id, started=self.timer()
        )

    def _answer(self, symbols: Sequence[str], question: PredictionRequest) -> _Answers:
        desk = self._desk(question)
        with self._common_failure_audited(symbols, desk):
            model = self._model(question)
            # Now, for another model may be swapped in while the bars are fetched.
            degraded = question.version is None and self.loader.active_refused
            windows = fetch_windows(
                self.bars,
                list(dict.fromkeys(symbols)),
                count=model.feature_set.window_bars,
                as_of=question.as_of,
                now=question.now,
                timer=self.timer,
                pool=self.pool,
            )
            scores = score(
                model, windows.full, rows=self.rows, explain=question.explain, timer=self.timer
            )
            entries: list[AuditEntry] = [
                desk.failed(symbol, windows.refused[symbol], model.version)
                if symbol in windows.refused
                else self._told(
                    desk,
                    symbol,
                    windows.full[symbol],
                    scores,
                    model,
                    bars_ms=windows.milliseconds[symbol],
                    degraded=degraded,
                )
                for symbol in symbols
            ]
        self.audit.append(entries)
        self.filling.after(windows, as_of=question.as_of, now=question.now)
        return _Answers(model, entries, windows.refused)

    def _told(
        self,
        desk: PredictionBuilder,
        symbol: str,
        window: BarArrays,
        scores: Scores,
        model: LoadedModel,
        *,
        bars_ms: float,
        degraded: bool,
    ) -> Answered:
        """The answer; most of it is the same for every question on the same bars."""
        question, row = desk.question, scores.vectors[symbol]
        standing = None if question.explain else self.standing.get(window, model, row)
        if standing is not None:
            return desk.answered_again(standing, scores, model, bars_ms=bars_ms, degraded=degraded)
        answer = desk.answered(symbol, window, scores, model, bars_ms=bars_ms, degraded=degraded)
        if not question.explain and question.as_of is None:  # a moment of the past rarely returns
            self.standing.keep(window, model, row, answer)
        return answer

    def _model(self, question: PredictionRequest) -> LoadedModel:
        return self.loader.get(question.version) if question.version else self.loader.active()

    @contextmanager
    def _common_failure_audited(
        self, symbols: Sequence[str], desk: PredictionBuilder
    ) -> Iterator[None]:
        """Whatever ends the whole pass stands in the audit before it reaches the caller."""
        try:
            yield
        except BaseException as error:
            known = error if isinstance(error, MlengineError) else MlengineError()
            self.audit.append([desk.failed(symbol, known, None) for symbol in symbols])
            raise
