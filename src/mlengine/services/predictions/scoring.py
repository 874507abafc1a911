"""From windows of bars to raw scores: one feature pass and one model call for any number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.bars.bars import BarArrays, frame_of
from mlengine.core.features import FeatureSet, latest
from mlengine.services.bars.windows import Timer
from mlengine.stores.features.row_cache import RowCache
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
    rows: RowCache,
    explain: bool,
    timer: Timer,
) -> Scores:
    """Features and scores of each symbol's newest bar."""
    if not windows:
        return Scores({}, {}, 0.0, 0.0)
    started = timer()
    vectors = feature_rows(model.feature_set, windows, rows)
    featured = timer()
    said = _score(model, vectors)
    raw, contributions = _explained(model, vectors) if explain else ({}, {})
    return Scores(
        vectors,
        said,
        features_ms=(featured - started) * 1e3,
        model_ms=(timer() - featured) * 1e3,
        raw=raw,
        contributions=contributions,
    )


def score_known(
    model: LoadedModel, symbol: str, window: BarArrays, *, rows: RowCache, timer: Timer
) -> Scores | None:
    """As `score` of one symbol whose features were computed before, else None."""
    started = timer()
    row = rows.get((window.bars_hash, model.feature_set.hash))
    if row is None:
        return None
    featured = timer()
    said = model.scorer.score_row(row)
    return Scores(
        {symbol: row},
        {symbol: said},
        features_ms=(featured - started) * 1e3,
        model_ms=(timer() - featured) * 1e3,
    )


def feature_rows(
    feature_set: FeatureSet, windows: Mapping[str, BarArrays], rows: RowCache
) -> dict[str, Floats]:
    """The row of each window; those that nobody asked for before are computed in one pass."""
    known = {
        symbol: rows.get((window.bars_hash, feature_set.hash)) for symbol, window in windows.items()
    }
    missing = [symbol for symbol, row in known.items() if row is None]
    computed = _computed(feature_set, [windows[symbol] for symbol in missing])
    for symbol in missing:
        rows.put((windows[symbol].bars_hash, feature_set.hash), computed[symbol])
    return {symbol: computed[symbol] if row is None else row for symbol, row in known.items()}


def _computed(feature_set: FeatureSet, bars: Sequence[BarArrays]) -> dict[str, Floats]:
    if not bars:
        return {}
    table = latest(frame_of(bars), feature_set)
    matrix = table.select(feature_set.names).to_numpy(order="c")
    return dict(zip(table["symbol"].to_list(), map(np.array, matrix), strict=True))


def _score(model: LoadedModel, vectors: Mapping[str, Floats]) -> dict[str, float]:
    if len(vectors) == 1:
        return {symbol: model.scorer.score_row(row) for symbol, row in vectors.items()}
    return dict(zip(vectors, model.scorer.score(_stacked(vectors)).tolist(), strict=True))


def _explained(
    model: LoadedModel, vectors: Mapping[str, Floats]
) -> tuple[dict[str, float], dict[str, Floats]]:
    """The raw scores, and what each feature and the base add to them."""
    matrix = _stacked(vectors)
    raw = model.scorer.raw_score(matrix).tolist()
    parts = model.scorer.contributions(matrix)
    return dict(zip(vectors, raw, strict=True)), dict(zip(vectors, parts, strict=True))


def _stacked(vectors: Mapping[str, Floats]) -> Floats:
    return np.stack(list(vectors.values()))
