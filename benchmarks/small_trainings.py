"""Trainings that cost a fraction of a second: the platform's steps with six features and few trees.

Only the primary metric is estimated, since the verdict is by it alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
from benchmarks.trainings import spec

from mlengine.core.arrays import Floats
from mlengine.core.boosting import model
from mlengine.core.boosting.binning import LabelledRows
from mlengine.core.boosting.model import DEFAULT_PARAMS, LightGBMConfig, Scorer
from mlengine.core.features.spec import Feature, FeatureSet
from mlengine.core.metrics import Actuals, auc, bootstrap_of
from mlengine.core.metrics.block_bootstrap import draw_blocks
from mlengine.core.metrics.bootstrap_estimator import BootstrapEstimator
from mlengine.core.metrics.losses import row_losses
from mlengine.core.metrics.ranking import weighted_auc
from mlengine.core.metrics.scored_rows import build_scored_rows
from mlengine.core.metrics.session_dates import mean_by_session, steps_to_label_end
from mlengine.core.metrics.verdict import verdict
from mlengine.core.promotion.diebold_mariano import degrees_of_blocks, diebold_mariano
from mlengine.core.promotion.gate import SIGNIFICANCE_LEVEL
from mlengine.core.training import dataset as datasets
from mlengine.core.training import experiment as experiments
from mlengine.core.training.dataset import Dataset

ROUNDS, PATIENCE, SEED = 40, 10, 42


@dataclass(frozen=True)
class Judged:
    """A model with its verdict, and its scores of the holdout beside what happened."""

    scorer: Scorer
    word: str
    value: float
    low: float
    high: float
    scores: Floats
    actuals: Actuals


def _ratio(name: str, expr: pl.Expr, bars: int) -> Feature:
    return Feature(
        name=name, expr=expr, formula=name, bars=bars, unit="ratio", source="own", doc=name
    )


def _change(name: str, bars: int) -> pl.Expr:
    return pl.col(name) / pl.col(name).shift(bars) - 1.0


SMALL_SET = FeatureSet(
    name="small",
    version=1,
    window_bars=21,
    features=(
        _ratio("return_1", _change("close", 1), 2),
        _ratio("return_5", _change("close", 5), 6),
        _ratio("return_20", _change("close", 20), 21),
        _ratio("range", (pl.col("high") - pl.col("low")) / pl.col("close"), 1),
        _ratio("largest_move", _change("close", 1).abs().rolling_max(20), 21),
        _ratio("volume_change", _change("volume", 1), 2),
    ),
)


def build(bars: pl.DataFrame, horizon_bars: int) -> Dataset:
    return datasets.build(bars, SMALL_SET, horizon_bars=horizon_bars, objective="direction")


def judge(dataset: Dataset, *, seed: int, recipes: int = 1, num_leaves: int = 15) -> Judged:
    """Fit on all before the holdout, and judge on it; `seed` is LightGBM's and the draws'."""
    rows = experiments.plan_rows(dataset, spec(horizon_bars=1, seed=SEED)).candidate
    labels = dataset.column("label")
    params = {**DEFAULT_PARAMS, "num_leaves": num_leaves}
    fitted = model.fit(
        LightGBMConfig("direction", seed, 1, ROUNDS, PATIENCE, params),
        names=dataset.feature_names,
        train=LabelledRows(dataset.features(rows.fit), labels[rows.fit]),
        early_stop=LabelledRows(dataset.features(rows.early_stop), labels[rows.early_stop]),
    )
    scorer = Scorer.from_text(fitted.text)
    scores = scorer.score(dataset.matrix(rows.test))
    actuals = Actuals(
        forward_returns=dataset.column("forward_return")[rows.test],
        labels=labels[rows.test],
        last_returns=dataset.column("last_return")[rows.test],
        timestamps=dataset.times("timestamp")[rows.test],
        label_ends=dataset.times("label_ends")[rows.test],
        symbols=dataset.frame["symbol"].rank("dense").cast(pl.Int64).to_numpy()[rows.test],
    )
    return _judged(scorer, scores, actuals, seed=seed, recipes=recipes)


def _judged(scorer: Scorer, scores: Floats, actuals: Actuals, *, seed: int, recipes: int) -> Judged:
    scored = build_scored_rows("direction", actuals=actuals, scores=scores, transform="raw")
    draws = draw_blocks(np.unique(actuals.timestamps), bootstrap_of(actuals, seed=seed))
    found = BootstrapEstimator(scored, draws).estimate(
        partial(weighted_auc, scored), 0.5, "coin_flip", undefined="one sided"
    )
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    word = verdict("auc", 0.5, found, blocks=draws.blocks, recipes=recipes).verdict
    return Judged(scorer, word, found.value, found.low, found.high, scores, actuals)


def promoted(champion: Judged, challenger: Judged) -> bool:
    """Whether the gate's first test would let the challenger through."""
    rows = challenger.actuals
    losses = [
        row_losses("direction", labels=rows.labels, scores=each.scores)
        for each in (champion, challenger)
    ]
    differences = mean_by_session(rows.timestamps, losses[0] - losses[1])
    steps = steps_to_label_end(rows.timestamps, rows.label_ends)
    degrees = degrees_of_blocks(len(differences), steps_ahead=steps)
    p_value = diebold_mariano(differences, steps_ahead=steps, degrees=degrees).p_value
    return p_value is not None and p_value < SIGNIFICANCE_LEVEL


def truth(judged: Judged, later: Dataset) -> float:
    """The AUC of the model on rows that come after everything it has seen."""
    return auc(later.column("label"), judged.scorer.score(later.matrix()))
