"""From windows of bars to raw scores: one feature pass and one model call for any number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.bars.bars import BarArrays, frame_of
from mlengine.core.features import FeatureSet, latest
from mlengine.services.bars.windows import Timer
from mlengine.stores.features.vector_cache import FeatureVectorCache
from mlengine.stores.registry.loader import LoadedModel


@dataclass(frozen=True)
class Scores:
    """By symbol: `vectors` float64 with NaN where undefined, and the model's `score`.

    What explains a score is empty unless it was asked for: a row of `contributions` has one number
    a feature and the base value last, and they sum to `raw`, the score before its link function.
    """

    vectors: Mapping[str, Floats]
    score: Mapping[str, float]
    features_ms: float
    model_ms: float
    raw: Mapping[str, float] = field(default_factory=dict)
    contributions: Mapping[str, Floats] = field(default_factory=dict)


def score(
    model: LoadedModel,
    windows: Mapping[str, BarArrays],
    *,
    vector_cache: FeatureVectorCache,
    explain: bool,
    timer: Timer,
    wait: bool = True,
) -> Scores | None:
    """Features and scores of each symbol's newest bar.

    Without `wait`, None where features would have to be computed first.
    """
    if not windows:
        return Scores({}, {}, 0.0, 0.0)
    started = timer()
    vectors = feature_vectors(model.feature_set, windows, vector_cache, wait=wait)
    if vectors is None:
        return None
    featured = timer()
    scores = _score(model, vectors)
    raw, contributions = _explain(model, vectors) if explain else ({}, {})
    return Scores(
        vectors,
        scores,
        features_ms=(featured - started) * 1e3,
        model_ms=(timer() - featured) * 1e3,
        raw=raw,
        contributions=contributions,
    )


def feature_vectors(
    feature_set: FeatureSet,
    windows: Mapping[str, BarArrays],
    vector_cache: FeatureVectorCache,
    *,
    wait: bool = True,
) -> dict[str, Floats] | None:
    """The row of each window; those that are not in the cache are computed in one pass.

    Without `wait`, None where there are such.
    """
    cached = {
        symbol: row
        for symbol, window in windows.items()
        if (row := vector_cache.get((window.bars_hash, feature_set.hash))) is not None
    }
    missing = [symbol for symbol in windows if symbol not in cached]
    if not wait:  # who counts these once they are audited
        return None if missing else cached
    vector_cache.count_lookups(hits=len(cached), misses=len(missing))
    if not missing:
        return cached
    computed = _compute(feature_set, [windows[symbol] for symbol in missing])
    for symbol in missing:
        vector_cache.put((windows[symbol].bars_hash, feature_set.hash), computed[symbol])
    return {symbol: cached[symbol] if symbol in cached else computed[symbol] for symbol in windows}


def _compute(feature_set: FeatureSet, bars: Sequence[BarArrays]) -> dict[str, Floats]:
    # In the order of the features: rows in another one would be copied to be sorted.
    ordered = sorted(bars, key=attrgetter("symbol"))
    table = latest(frame_of(ordered), feature_set)
    matrix = table.select(feature_set.names).to_numpy(order="c")
    return dict(zip(table["symbol"].to_list(), map(np.array, matrix), strict=True))


def _score(model: LoadedModel, vectors: Mapping[str, Floats]) -> dict[str, float]:
    if len(vectors) == 1:
        return {symbol: model.scorer.score_row(row) for symbol, row in vectors.items()}
    return dict(zip(vectors, model.scorer.score(_stacked(vectors)).tolist(), strict=True))


def _explain(
    model: LoadedModel, vectors: Mapping[str, Floats]
) -> tuple[dict[str, float], dict[str, Floats]]:
    """The raw scores, and what each feature and the base add to them."""
    matrix = _stacked(vectors)
    raw = model.scorer.raw_score(matrix).tolist()
    parts = model.scorer.contributions(matrix)
    return dict(zip(vectors, raw, strict=True)), dict(zip(vectors, parts, strict=True))


def _stacked(vectors: Mapping[str, Floats]) -> Floats:
    return np.stack(list(vectors.values()))
