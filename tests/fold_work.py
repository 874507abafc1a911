"""The work of two small folds, as a training shares it with its helpers."""

from __future__ import annotations

import numpy as np

from mlengine.core.boosting.binning import LabelledRows, SharedBins
from mlengine.core.boosting.model import LightGBMConfig
from mlengine.core.training.fold_work import FitRows, FoldWork

NAMES = ("first", "second", "third")
ROWS = 400


def work() -> FoldWork:
    """Two folds whose rows have holes, on ill-scaled features with NaN."""
    rng = np.random.default_rng(3)
    features = rng.normal(size=(ROWS, len(NAMES))) * [1e-9, 1.0, 1e7]
    features[rng.random(features.shape) < 0.05] = np.nan
    labels = (rng.random(ROWS) < 0.5).astype(float)
    params = {"num_leaves": 7, "min_data_in_leaf": 10, "bagging_fraction": 0.7, "bagging_freq": 1}
    config = LightGBMConfig("direction", 42, 1, rounds=12, params=params)
    bins = SharedBins.of(
        config.lightgbm_params(),
        names=NAMES,
        edges=LabelledRows(features[:200], labels[:200]),
        rows=LabelledRows(features, labels),
    )
    folds = (
        FitRows(np.arange(0, 180), np.arange(185, 220)),
        FitRows(np.arange(5, 290, 2), np.arange(300, 390)),
    )
    return FoldWork(config, bins, folds)
