"""Scoring the slices of a bar: what a line's champion and the one before it say of each symbol."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.line_names import version_key
from mlengine.core.predictions.prediction import FailedPrediction, Latency
from mlengine.core.signals.signal import BAR_MISSING, SCHEDULED, BarToScore, Slice, Tick
from mlengine.core.signals.ticks import is_bar_of
from mlengine.core.timestamps import rfc3339
from mlengine.errors import DatabaseUnavailable, InsufficientBars, MlengineError, UnknownSymbol
from mlengine.services.bars.windows import WindowSource
from mlengine.services.predictions.lines import SharedWindows
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.services.predictions.service import PredictService
from mlengine.services.signals.planning import SignalPlanner
from mlengine.stores.audit.entries import AuditedFailure, AuditedPrediction, AuditEntry
from mlengine.stores.signals.store import SignalKey, SignalStore

_SOONEST_RETRY, _LATEST_RETRY = timedelta(seconds=1), timedelta(minutes=5)
_PART_OF_DELAY = 4


@dataclass(frozen=True)
class _Said:
    """What a version says of each symbol now, and of which it will say nothing else later."""

    entries: Mapping[str, AuditEntry]
    settled: Collection[str]


@dataclass(frozen=True)
class SliceScorer:
    """Scores slices of one line, by what `predict` would answer each symbol at this moment."""

    planner: SignalPlanner
    predict: PredictService
    store: SignalStore
    clock: Callable[[], datetime]

    def score(self, held: Slice) -> None:
        """Say what there is to say of the slice's symbols, and let the slice go.

        A symbol whose bar has not come yet is looked at again, later each time. What has not come
        when the bar is given up is a failure. Raises DatabaseUnavailable, or SliceLost where
        another worker was faster, and then nothing is written.
        """
        now = self.clock()
        by_version = self._answers_of_versions(held, now)
        if now < held.bar.give_up_at:
            settled = set.intersection(*(set(said.settled) for said in by_version))
        else:
            settled = set(held.symbols)
        entries = [said.entries[name] for said in by_version for name in settled]
        entries = self._without_repeats(held, sorted(entries, key=_symbol_of))
        left = [symbol for symbol in held.symbols if symbol not in settled]
        look_at = _retry_at(held.bar, now) if left else None
        self.store.answer(held, entries, left=left, look_at=look_at, now=self.clock())
        for version in held.bar.versions:
            ours = [each for each in entries if _version_of(each) == version]
            self.predict.counts.count(ours, version_key(held.bar.model, version))

    def _answers_of_versions(self, held: Slice, now: datetime) -> list[_Said]:
        windows = SharedWindows(self._widest(held.bar.versions))
        return [self._answers(held, version, windows, now) for version in held.bar.versions]

    def _answers(self, held: Slice, version: str, windows_of: WindowSource, now: datetime) -> _Said:
        bar = held.bar
        request = PredictionRequest(
            f"signals-{bar.model}-{bar.final_at:%Y%m%dT%H%M%SZ}",
            now,
            version=version,
            route=SCHEDULED,
        )
        try:
            answers = self.predict.answers(held.symbols, request, windows_of=windows_of)
        except DatabaseUnavailable:
            raise
        except MlengineError as error:  # of the version, which may be mended meanwhile
            reasons = dict.fromkeys(held.symbols, (error.code, str(error)))
            failures = self._failures(reasons, version, request)
            return _Said({each.failure.symbol: each for each in failures}, ())
        entries = dict(zip(held.symbols, answers.entries, strict=True))
        late, settled = dict[str, tuple[str, str]](), list[str]()
        for symbol, entry in entries.items():
            if not isinstance(entry, AuditedPrediction):
                if _is_final(answers.windows.refused[symbol]):
                    settled.append(symbol)
            elif self._is_of_bar(bar, entry):
                settled.append(symbol)
            else:
                newest = rfc3339(entry.prediction.bar_timestamp)
                late[symbol] = BAR_MISSING, f"its bar was not there in time, the newest is {newest}"
        failures = self._failures(late, version, request)
        return _Said({**entries, **{each.failure.symbol: each for each in failures}}, settled)

    def _is_of_bar(self, bar: BarToScore, entry: AuditedPrediction) -> bool:
        answer = entry.prediction
        tick = Tick(bar.final_at, bar.bar_timestamp, bar.next_at)
        calendar = self.planner.calendar(answer.symbol)
        return is_bar_of(tick, answer.bar_timestamp, calendar, INTERVALS[answer.interval])

    def _without_repeats(self, held: Slice, entries: Sequence[AuditEntry]) -> list[AuditEntry]:
        """Of one bar a version speaks once, also where two ticks see it as the newest."""
        keys = [_key_of(entry, held.bar) for entry in entries]
        said = self.store.said(held, {key.bar_timestamp for key in keys})
        return [entry for entry, key in zip(entries, keys, strict=True) if key not in said]

    def _widest(self, versions: Sequence[str]) -> int:
        """The most bars that one of them needs."""
        widest = 0
        for version in versions:
            try:
                model = self.predict.loader.get(version)
            except MlengineError:  # it says so when it is asked
                continue
            widest = max(widest, model.feature_set.window_bars)
        return widest

    def _failures(
        self,
        reasons: Mapping[str, tuple[str, str]],
        version: str,
        request: PredictionRequest,
    ) -> list[AuditedFailure]:
        """By symbol for a code and its detail."""
        ids = self.predict.new_ids(len(reasons))
        return [
            AuditedFailure(
                FailedPrediction(
                    prediction_id=prediction_id,
                    request_id=request.request_id,
                    symbol=symbol,
                    as_of=request.now,
                    model=self.predict.line,
                    model_version=version,
                    error_code=code,
                    detail=detail,
                    latency_ms=Latency(None, None, None, total=0.0),
                ),
                request.route,
                request.now,
            )
            for prediction_id, (symbol, (code, detail)) in zip(ids, reasons.items(), strict=True)
        ]


def _is_final(refusal: MlengineError) -> bool:
    """Whether another bar, which may be on its way, would change nothing."""
    if isinstance(refusal, InsufficientBars):
        return refusal.needed - refusal.got > 1
    return isinstance(refusal, UnknownSymbol)


def _retry_at(bar: BarToScore, now: datetime) -> datetime:
    """The later it is, the later again; but in time to give up."""
    pause = max((now - bar.final_at) / _PART_OF_DELAY, _SOONEST_RETRY)
    return min(now + min(pause, _LATEST_RETRY), max(bar.give_up_at, now))


def _said_of(entry: AuditEntry) -> tuple[str, str | None]:
    said = entry.prediction if isinstance(entry, AuditedPrediction) else entry.failure
    return said.symbol, said.model_version


def _symbol_of(entry: AuditEntry) -> str:
    return _said_of(entry)[0]


def _version_of(entry: AuditEntry) -> str | None:
    return _said_of(entry)[1]


def _key_of(entry: AuditEntry, bar: BarToScore) -> SignalKey:
    symbol, version = _said_of(entry)
    answered = entry.prediction if isinstance(entry, AuditedPrediction) else None
    timestamp = answered.bar_timestamp if answered else bar.bar_timestamp
    return SignalKey(version_key(bar.model, version or bar.champion), symbol, timestamp)
