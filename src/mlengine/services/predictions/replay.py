"""Making audited predictions again, from their stored bars, features and model."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats
from mlengine.core.bars.bars import bars_hash
from mlengine.core.bars.intervals import INTERVALS, interval_end
from mlengine.core.features import latest
from mlengine.core.predictions.prediction import AuditRow
from mlengine.core.predictions.replay import (
    ReplayResult,
    ReplaySummary,
    compare_replay,
    not_replayed,
    summarise,
)
from mlengine.errors import (
    ArtifactCorrupt,
    FeatureSetMismatch,
    IntervalMismatch,
    MlengineError,
    ModelNotFound,
    PredictionNotFound,
)
from mlengine.services.bars.service import BarService
from mlengine.stores.audit.filter import AuditFilter
from mlengine.stores.audit.replay_inputs import ReplayInputs, ReplayInputStore
from mlengine.stores.audit.vectors import decode_vector
from mlengine.stores.database.events import EventStore
from mlengine.stores.registry.loader import LoadedModel, ModelLoader

_CHUNK_ROWS = 500
_FAILED = "it is a failure, and has no score"
_MOST_OTHERS = 100
_STATUS_OF: Mapping[type[MlengineError], str] = {
    ModelNotFound: "model_gone",
    ArtifactCorrupt: "model_gone",
    FeatureSetMismatch: "feature_set_gone",
    IntervalMismatch: "not_replayable",
}


@dataclass(frozen=True)
class ReplayService:
    inputs: ReplayInputStore
    loader: ModelLoader
    bars: BarService
    events: EventStore

    def replay(
        self,
        prediction_id: str,
        *,
        check_upstream: bool,
        actor: str,
        request_id: str | None,
        now: datetime,
    ) -> ReplayResult:
        """Make one prediction again, and write the event.

        Raises PredictionNotFound or DatabaseUnavailable.
        """
        inputs = self.inputs.get(prediction_id)
        if inputs is None:
            raise PredictionNotFound(prediction_id)
        (replayed,) = self._replay([inputs], _Models(self.loader), now if check_upstream else None)
        details = {
            "prediction_id": prediction_id,
            "request_id": request_id,
            "status": replayed.status,
            "upstream": replayed.upstream,
        }
        version = replayed.model_version
        self.events.append("replayed", at=now, version=version, actor=actor, details=details)
        return replayed

    def replay_many(
        self,
        audit_filter: AuditFilter,
        *,
        sample: int | None,
        seed: int,
        check_upstream: bool,
        actor: str,
        now: datetime,
    ) -> ReplaySummary:
        """Make the selected predictions again, or a random `sample` of them, and write one event.

        Raises DatabaseUnavailable.
        """
        numbers = self.inputs.row_ids(audit_filter)
        if sample is not None and sample < len(numbers):
            numbers = sorted(random.Random(seed).sample(numbers, sample))  # noqa: S311
        models = _Models(self.loader)
        upstream_at = now if check_upstream else None
        replays = [
            replayed
            for first in range(0, len(numbers), _CHUNK_ROWS)
            for replayed in self._replay(
                self.inputs.get_many(numbers[first : first + _CHUNK_ROWS]), models, upstream_at
            )
        ]
        summary = summarise(replays, most_others=_MOST_OTHERS)
        details = {"replayed": summary.replayed, "counts": summary.counts}
        self.events.append("replayed", at=now, version=None, actor=actor, details=details)
        return summary

    def _replay(
        self, inputs: Sequence[ReplayInputs], models: _Models, upstream_at: datetime | None
    ) -> Iterator[ReplayResult]:
        for each, replayed in zip(inputs, _replay_all(inputs, models), strict=True):
            if upstream_at is None:
                yield replayed
            else:
                yield replace(replayed, upstream=self._upstream(each.row, upstream_at))

    def _upstream(self, row: AuditRow, now: datetime) -> str:
        """How the upstream serves today the bars that the prediction was made of."""
        if row.bar_timestamp is None or row.interval is None or row.feature_set is None:
            return "not_checked"
        if row.interval != self.bars.interval:
            return "unavailable"
        count = row.feature_set.window_bars
        # A bar of a session date may be known half a day later, and then the next one as well.
        as_of = min(interval_end(row.bar_timestamp, row.interval) + INTERVALS[row.interval], now)
        try:
            served = self.bars.fetch_bypassing_store_as_of(
                row.symbol, bars=count + 2, as_of=as_of, now=now
            ).frame()
        except MlengineError:
            return "unavailable"
        window = served.filter(pl.col("timestamp") <= row.bar_timestamp).tail(count)
        return "same" if bars_hash(window) == row.bars_hash else "changed"


@dataclass
class _Models:
    """The models of the predictions; each version is read from disk once, whatever is loaded."""

    loader: ModelLoader
    loaded: dict[str, LoadedModel | MlengineError] = field(default_factory=dict)

    def model_of(self, inputs: ReplayInputs) -> LoadedModel | ReplayResult:
        """The model that made a prediction, or why it can't be made again."""
        row, lacking = inputs.row, _lacking(inputs)
        if lacking or row.model_version is None or row.feature_set is None:
            return not_replayed(row, "not_replayable", lacking or _FAILED)
        model = self._load(row.model_version)
        if isinstance(model, MlengineError):
            return not_replayed(row, _STATUS_OF[type(model)], str(model))
        if model.manifest.fingerprint != row.model_fingerprint:
            reason = f"{row.model_version} is another model today"
            return not_replayed(row, "model_gone", reason)
        if model.feature_set.hash != row.feature_set.hash:
            reason = f"{row.model_version} is of another feature set today"
            return not_replayed(row, "feature_set_gone", reason)
        return model

    def _load(self, version: str) -> LoadedModel | MlengineError:
        if version not in self.loaded:
            try:
                self.loaded[version] = self.loader.load(version)
            except tuple(_STATUS_OF) as refusal:
                self.loaded[version] = refusal
        return self.loaded[version]


def _replay_all(inputs: Sequence[ReplayInputs], models: _Models) -> list[ReplayResult]:
    """In the order given; one feature pass and one model call for each version."""
    replays: dict[int, ReplayResult] = {}
    by_version: dict[str, tuple[LoadedModel, list[int]]] = {}
    for i, each in enumerate(inputs):
        model = models.model_of(each)
        if isinstance(model, ReplayResult):
            replays[i] = model
        else:
            by_version.setdefault(model.version, (model, []))[1].append(i)
    for model, places in by_version.values():
        again = _replay_with(model, [inputs[i] for i in places])
        replays.update(zip(places, again, strict=True))
    return [replays[i] for i in range(len(inputs))]


def _lacking(inputs: ReplayInputs) -> str | None:
    """Why there is nothing to make a prediction again from, None where there is."""
    if not inputs.row.ok:
        return _FAILED
    if inputs.window is None or inputs.vector is None:
        return "its bars are not stored"
    intact = bars_hash(inputs.window) == inputs.row.bars_hash
    return None if intact else "its stored bars are damaged"


def _replay_with(model: LoadedModel, inputs: Sequence[ReplayInputs]) -> list[ReplayResult]:
    vectors = _vectors(model, inputs)
    scores = model.scorer.score(np.stack(vectors)).tolist()
    return [
        compare_replay(
            each.row,
            names=model.feature_set.names,
            recorded=decode_vector(each.vector or b""),
            replayed=vector,
            score=raw + 0.0,  # as it is answered: a negative zero becomes zero
        )
        for each, vector, raw in zip(inputs, vectors, scores, strict=True)
    ]


def _vectors(model: LoadedModel, inputs: Sequence[ReplayInputs]) -> list[Floats]:
    """Each window's newest row; equal windows are computed once.

    The hash of a window stands in for its symbol, of which there may be several windows.
    """
    windows = {str(each.row.bars_hash): each.window for each in inputs if each.window is not None}
    frames = [frame.with_columns(symbol=pl.lit(key)) for key, frame in windows.items()]
    rows = latest(pl.concat(frames), model.feature_set)
    matrix = rows.select(model.feature_set.names).to_numpy(order="c")
    vectors = dict(zip(rows["symbol"].to_list(), matrix, strict=True))
    return [vectors[str(each.row.bars_hash)] for each in inputs]
