"""Predictions: bars known at a moment, their features, one score, and a row in the audit.

No answer leaves before its row is committed, failures included.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import cast

from mlengine.core.line_names import MODEL_LINE, version_key
from mlengine.core.predictions.prediction import FailedPrediction, Prediction
from mlengine.core.predictions.usability import UsabilityLimits
from mlengine.errors import MlengineError
from mlengine.services.bars.served import LIVE
from mlengine.services.bars.service import BarService
from mlengine.services.bars.session_end import session_end, session_ends
from mlengine.services.bars.windows import FetchPool, WindowFetcher, WindowSource, fetch_windows
from mlengine.services.predictions.prediction_builder import (
    Answers,
    PredictionBatch,
    PredictionBuilder,
    PredictionRequest,
    SymbolBars,
)
from mlengine.services.predictions.prediction_cache import PredictionCache
from mlengine.services.predictions.prediction_counts import NO_VERSION, PredictionCounts
from mlengine.services.predictions.prefetch import NewBarPrefetch
from mlengine.services.predictions.scoring import Scores, score
from mlengine.stores.audit.entries import AuditedFailure, AuditedPrediction, AuditEntry
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.features.vector_cache import FeatureVectorCache
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.registry.loader import LoadedModel, ModelLoader

# What an answer waits for at most, to know which bars were to be expected of late symbols.
_EXPECTATIONS_SECONDS = 2.0


@dataclass(frozen=True)
class PredictService:
    bars: BarService
    loader: ModelLoader
    audit: AuditStore
    timer: Callable[[], float]
    new_ids: Callable[[int], Sequence[str]]
    prefetch: NewBarPrefetch
    pool: FetchPool = field(default_factory=FetchPool)
    limits: UsabilityLimits = field(default_factory=UsabilityLimits)
    vector_cache: FeatureVectorCache = field(
        default_factory=FeatureVectorCache, repr=False, compare=False
    )
    cache: PredictionCache = field(default_factory=PredictionCache, repr=False, compare=False)
    counts: PredictionCounts = field(default_factory=PredictionCounts, repr=False, compare=False)
    line: str = MODEL_LINE

    def predict(self, symbol: str, request: PredictionRequest) -> Prediction:
        """The audited prediction of a symbol or its alias; raises its failure once audited."""
        symbol = self.bars.markets.canonical(symbol)
        if request.session:
            as_of = session_end(self.bars, symbol, request.session, now=request.now)
            request = replace(request, as_of=as_of, session=None)
        answers = self._audited_answers([symbol], request)
        (entry,) = answers.entries
        if isinstance(entry, AuditedFailure):
            raise answers.windows.refused[symbol]
        return entry.prediction

    def predict_batch(
        self,
        symbols: Sequence[str],
        request: PredictionRequest,
        *,
        windows_of: WindowSource = fetch_windows,
    ) -> PredictionBatch:
        """One pass over all symbols, one transaction; a bad symbol fails alone.

        `windows_of` brings the bars, but for a `session`, which ends at several moments.

        Raises only what makes every item fail alike: the model, or the audit store.
        """
        symbols = list(map(self.bars.markets.canonical, symbols))
        if request.session:
            return self._batch_by_session_end(symbols, request)
        answers = self._audited_answers(symbols, request, windows_of)
        results = [
            entry.prediction if isinstance(entry, AuditedPrediction) else entry.failure
            for entry in answers.entries
        ]
        return PredictionBatch(answers.model.version, tuple(results))

    def _batch_by_session_end(
        self, symbols: Sequence[str], request: PredictionRequest
    ) -> PredictionBatch:
        """A batch for each moment at which the session ends, all of the same model."""
        groups, session = dict[datetime, list[int]](), cast("date", request.session)
        ends = session_ends(self.bars, symbols, session, now=request.now)
        for place, symbol in enumerate(symbols):
            groups.setdefault(ends[symbol], []).append(place)
        results: dict[int, Prediction | FailedPrediction] = {}
        version = request.version
        for as_of, places in groups.items():
            same_model = replace(request, as_of=as_of, session=None, version=version)
            batch = self.predict_batch([symbols[place] for place in places], same_model)
            version = batch.model_version
            results |= zip(places, batch.results, strict=True)
        return PredictionBatch(str(version), tuple(results[n] for n in range(len(symbols))))

    def answers(
        self,
        symbols: Sequence[str],
        request: PredictionRequest,
        *,
        windows_of: WindowSource = fetch_windows,
    ) -> Answers:
        """As `predict_batch` of symbols, no aliases, with why some failed; for others to audit."""
        builder = self._builder(symbols, request)
        model = self.loader.get(request.version) if request.version else self.loader.active()
        answered = self._answers_of(model, symbols, builder, wait=True, windows_of=windows_of)
        return cast("Answers", answered)

    def cached_model(self) -> LoadedModel | None:
        """The active model for `predict_if_cached`, which then knows what is recorded by now.

        None where a model has to be loaded first, or answers can't be audited by `try_audit`.
        """
        if not self.audit.supports_direct_append:
            return None
        self.bars.notice_recordings()
        return self.loader.active_if_loaded()

    def predict_if_cached(
        self, symbol: str, model: LoadedModel, request: PredictionRequest
    ) -> AuditedPrediction | None:
        """The answer of `predict` without options, not audited yet, where nothing is waited for.

        None where the bars or the features are not in memory. `model` is that of `cached_model`.
        """
        symbol = self.bars.markets.canonical(symbol)
        answers = self._answers_of(model, [symbol], self._builder([symbol], request), wait=False)
        (entry,) = answers.entries if answers else (None,)
        return entry if isinstance(entry, AuditedPrediction) else None

    def try_audit(self, answers: Sequence[AuditedPrediction]) -> bool:
        """Commit the rows of all `answers`; False where none could be without waiting."""
        audited = self.audit.append_rows_directly(answers)
        if audited:
            self.counts.count_single(answers)
        return audited

    def _audited_answers(
        self,
        symbols: Sequence[str],
        request: PredictionRequest,
        windows_of: WindowSource = fetch_windows,
    ) -> Answers:
        """The answers, committed; whatever ends the whole pass is audited before it is raised."""
        started = self.timer()
        try:
            answers = self.answers(symbols, request, windows_of=windows_of)
        except BaseException as error:
            reason = error if isinstance(error, MlengineError) else MlengineError()
            failed = symbols if request.audited else ()
            builder = replace(self._builder(failed, request), started=started)
            self._audit([builder.failure(symbol, reason, None) for symbol in failed], None)
            raise
        self._audit(answers.entries if request.audited else (), answers.model.version)
        self.prefetch.start_if_due(answers.windows, as_of=request.as_of, now=request.now)
        return answers

    def _audit(self, entries: Sequence[AuditEntry], version: str | None) -> None:
        self.audit.append(entries)
        self.counts.count(entries, version_key(self.line, version or NO_VERSION))

    def _builder(self, symbols: Sequence[str], request: PredictionRequest) -> PredictionBuilder:
        ids = iter(self.new_ids(len(symbols)))
        return PredictionBuilder(request, self.limits, self.timer, ids, self.timer(), self.line)

    def _answers_of(
        self,
        model: LoadedModel,
        symbols: Sequence[str],
        builder: PredictionBuilder,
        *,
        wait: bool,
        windows_of: WindowSource = fetch_windows,
    ) -> Answers | None:
        """Windows, rows, scores, answers: each step takes what is in memory first.

        Without `wait`, None where that is not all.
        """
        request = builder.request
        # Now, for another model may be swapped in while the bars are fetched.
        degraded = request.version is None and self.loader.active_failed_to_load
        count = model.feature_set.window_bars
        fetch = WindowFetcher(self.bars, count, request.as_of, request.now, self.timer)
        windows = windows_of(fetch, list(dict.fromkeys(symbols)), self.pool, wait=wait)
        if windows is None:
            return None
        scores = score(
            model,
            windows.complete,
            vector_cache=self.vector_cache,
            explain=request.explain,
            timer=self.timer,
            wait=wait,
        )
        if scores is None:
            return None
        ages = self.bars.bar_ages.ages(
            windows.complete,
            moment=request.moment,
            now=request.now,
            deadline=Deadline.after(_EXPECTATIONS_SECONDS) if wait else None,
        )
        if ages is None:
            return None
        complete, refused, milliseconds = windows.complete, windows.refused, windows.milliseconds
        origin_of = windows.origins.get
        entries: list[AuditEntry] = []
        for symbol in symbols:
            if symbol in refused:
                entries.append(builder.failure(symbol, refused[symbol], model.version))
                continue
            origin = origin_of(symbol, LIVE)
            bars = SymbolBars(complete[symbol], ages[symbol], milliseconds[symbol], origin)
            entries.append(self._answer(builder, symbol, bars, scores, model, degraded=degraded))
        return Answers(model, windows, entries)

    def _answer(
        self,
        builder: PredictionBuilder,
        symbol: str,
        bars: SymbolBars,
        scores: Scores,
        model: LoadedModel,
        *,
        degraded: bool,
    ) -> AuditedPrediction:
        """Most of an answer is the same for every request on the same bars."""
        request, row = builder.request, scores.vectors[symbol]
        cached = None if request.explain else self.cache.get(bars.window, model, row)
        if cached is not None:
            return builder.restamp(cached, bars, scores, model, degraded=degraded)
        answer, is_novel = builder.build(symbol, bars, scores, model, degraded=degraded)
        if not request.explain and request.as_of is None:  # a moment of the past rarely returns
            score = scores.score[symbol]
            self.cache.put(bars.window, model, row, answer, score=score, is_novel=is_novel)
        return answer
