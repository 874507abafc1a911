"""Making audited predictions again, from the bars, the features and the model of then."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats
from mlengine.core.bars.bars import bars_hash
from mlengine.core.bars.intervals import final_at
from mlengine.core.features import latest
from mlengine.core.predictions.prediction import AuditRow
from mlengine.core.predictions.replay import (
    Replayed,
    ReplaySummary,
    compared,
    summarised,
    without_replay,
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
from mlengine.stores.bars.cache import BarCache
from mlengine.stores.database.events import EventStore
from mlengine.stores.registry.loader import LoadedModel, ModelLoader

_AT_ONCE = 500
_FAILURE = "it is a failure, and has no score"
_MOST_OTHERS = 100
_STATUS_OF: Mapping[type[MlengineError], str] = {
    ModelNotFound: "model_gone",
    ArtifactCorrupt: "model_gone",
    FeatureSetMismatch: "feature_set_gone",
    IntervalMismatch: "not_replayable",
}


@dataclass(frozen=True)
class ReplayService:
    evidence: ReplayInputStore
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
    ) -> Replayed:
        """Make one prediction again; raises PredictionNotFound or AuditUnavailable.

        Who asked stands in the history.
        """
        found = self.evidence.of(prediction_id)
        if found is None:
            raise PredictionNotFound(prediction_id)
        (replayed,) = _Pass(self.loader).replay([found])
        if check_upstream:
            replayed = replace(replayed, upstream=self._upstream(found.row, now))
        details = {"prediction_id": prediction_id, "request_id": request_id}
        said = {"status": replayed.status, "upstream": replayed.upstream}
        self.events.append(
            "replayed",
            at=now,
            version=replayed.model_version,
            actor=actor,
            details={**details, **said},
        )
        return replayed

    def replay_many(
        self,
        selection: AuditFilter,
        *,
        sample: int | None,
        seed: int,
        check_upstream: bool,
        actor: str,
        now: datetime,
    ) -> ReplaySummary:
        """Make the selected predictions again, or a random `sample` of them.

        Who asked, and what came of it, stands in the history. Raises AuditUnavailable.
        """
        numbers = self.evidence.numbers(selection)
        if sample is not None and sample < len(numbers):
            numbers = sorted(random.Random(seed).sample(numbers, sample))  # noqa: S311
        replays = list(self._replays(numbers, now if check_upstream else None))
        summary = summarised(replays, most_others=_MOST_OTHERS)
        details = {"replayed": summary.replayed, "counts": summary.counts}
        self.events.append("replayed", at=now, version=None, actor=actor, details=details)
        return summary

    def _replays(self, numbers: Sequence[int], upstream_at: datetime | None) -> Iterator[Replayed]:
        run = _Pass(self.loader)
        for first in range(0, len(numbers), _AT_ONCE):
            chunk = self.evidence.numbered(numbers[first : first + _AT_ONCE])
            for found, replayed in zip(chunk, run.replay(chunk), strict=True):
                if upstream_at is None:
                    yield replayed
                else:
                    upstream = self._upstream(found.row, upstream_at)
                    yield replace(replayed, upstream=upstream)

    def _upstream(self, row: AuditRow, now: datetime) -> str:
        """How the upstream serves today the bars that the prediction was made of."""
        if row.bar_timestamp is None or row.interval is None or row.feature_set is None:
            return "not_checked"
        if row.interval != self.bars.interval:
            return "unavailable"
        asking = replace(self.bars, cache=BarCache())  # what was kept is not what is served today
        known = final_at(row.bar_timestamp, row.interval)
        try:
            count = row.feature_set.window_bars
            served = asking.history(row.symbol, bars=count, as_of=known, now=now).frame
        except MlengineError:
            return "unavailable"
        return "same" if bars_hash(served) == row.bars_hash else "changed"


@dataclass
class _Pass:
    """One pass over many predictions; each version is read from disk once, whatever is loaded."""

    loader: ModelLoader
    found: dict[str, LoadedModel | MlengineError] = field(default_factory=dict)

    def replay(self, evidence: Sequence[ReplayInputs]) -> list[Replayed]:
        """In the order given; one feature pass and one model call for each version."""
        made: dict[int, Replayed] = {}
        chosen: dict[str, tuple[LoadedModel, list[int]]] = {}
        for i, each in enumerate(evidence):
            model = self._model_of(each)
            if isinstance(model, Replayed):
                made[i] = model
            else:
                chosen.setdefault(model.version, (model, []))[1].append(i)
        for model, places in chosen.values():
            again = _replay(model, [evidence[i] for i in places])
            made.update(zip(places, again, strict=True))
        return [made[i] for i in range(len(evidence))]

    def _model_of(self, each: ReplayInputs) -> LoadedModel | Replayed:
        """The model that made a prediction, or why it can't be made again."""
        row, lacking = each.row, _lacking(each)
        if lacking or row.model_version is None or row.feature_set is None:
            return without_replay(row, "not_replayable", lacking or _FAILURE)
        model = self._model(row.model_version)
        if isinstance(model, MlengineError):
            return without_replay(row, _STATUS_OF[type(model)], str(model))
        if model.manifest.fingerprint != row.model_fingerprint:
            reason = f"{row.model_version} is another model today"
            return without_replay(row, "model_gone", reason)
        if model.feature_set.hash != row.feature_set.hash:
            reason = f"{row.model_version} is of another feature set today"
            return without_replay(row, "feature_set_gone", reason)
        return model

    def _model(self, version: str) -> LoadedModel | MlengineError:
        if version not in self.found:
            try:
                self.found[version] = self.loader.load(version)
            except tuple(_STATUS_OF) as refusal:
                self.found[version] = refusal
        return self.found[version]


def _lacking(each: ReplayInputs) -> str | None:
    """Why there is nothing to make a prediction again from, None where there is."""
    if not each.row.ok:
        return _FAILURE
    if each.window is None or each.vector is None:
        return "its bars are not stored"
    return None if bars_hash(each.window) == each.row.bars_hash else "its stored bars are damaged"


def _replay(model: LoadedModel, evidence: Sequence[ReplayInputs]) -> list[Replayed]:
    vectors = _vectors(model, evidence)
    scores = model.scorer.score(np.stack(vectors)).tolist()
    return [
        compared(
            each.row,
            names=model.feature_set.names,
            recorded=decode_vector(each.vector or b""),
            replayed=vector,
            score=raw + 0.0,  # as it is answered: a negative zero becomes zero
        )
        for each, vector, raw in zip(evidence, vectors, scores, strict=True)
    ]


def _vectors(model: LoadedModel, evidence: Sequence[ReplayInputs]) -> list[Floats]:
    """Each window's newest row; equal windows are computed once.

    The hash of a window stands in for its symbol, of which there may be several windows.
    """
    windows = {str(each.row.bars_hash): each.window for each in evidence if each.window is not None}
    frames = [frame.with_columns(symbol=pl.lit(key)) for key, frame in windows.items()]
    rows = latest(pl.concat(frames), model.feature_set)
    matrix = rows.select(model.feature_set.names).to_numpy(order="c")
    made = dict(zip(rows["symbol"].to_list(), matrix, strict=True))
    return [made[str(each.row.bars_hash)] for each in evidence]
