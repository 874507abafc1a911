"""From windows of bars to raw scores: one feature pass and one model call for any number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlengine.core.features import latest
from mlengine.services.windows import Timer, Window
from mlengine.stores.loaded import LoadedModel


@dataclass(frozen=True)
class Scores:
    """By symbol: `vectors` float64 with NaN where undefined, `raw` scores, contributions.

    A row of `contributions` has one number a feature and the expected value last; they sum to
    the raw score before its link function.
    """

    vectors: Mapping[str, np.ndarray]
    raw: Mapping[str, float]
    contributions: Mapping[str, np.ndarray]
    features_ms: float
    model_ms: float


def score(
    model: LoadedModel, windows: Mapping[str, Window], *, explain: bool, timer: Timer
) -> Scores:
    """Features and scores of each symbol's newest bar."""
    if not windows:
        return Scores({}, {}, {}, 0.0, 0.0)
    started = timer()
    rows = latest(pl.concat(window.bars for window in windows.values()), model.feature_set)
    symbols = rows["symbol"].to_list()
    matrix = rows.select(model.feature_set.names).to_numpy(order="c")
    featured = timer()
    raw = model.scorer.score(matrix)
    parts = model.scorer.contributions(matrix) if explain else np.empty((0, 0))
    return Scores(
        vectors=dict(zip(symbols, matrix, strict=True)),
        raw=dict(zip(symbols, raw.tolist(), strict=True)),
        contributions=dict(zip(symbols, parts, strict=False)),
        features_ms=(featured - started) * 1e3,
        model_ms=(timer() - featured) * 1e3,
    )
