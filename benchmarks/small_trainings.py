"""Trainings that cost a fraction of a second: the platform's steps with six features and few trees.

Only the primary metric is estimated, since the verdict is by it alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
from benchmarks.trainings import spec

from mlengine.core.arrays import Floats, Indices
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
from mlengine.core.metrics.verdict import verdict
from mlengine.core.promotion.gate import GateTest
from mlengine.core.promotion.paired_test import gate_test, paired_test
from mlengine.core.training import dataset as datasets
from mlengine.core.training.dataset import Dataset
from mlengine.core.training.row_plan import plan_rows

ROUNDS, PATIENCE, SEED = 40, 10, 42


@dataclass(frozen=True)
class Trained:
    """A model, and its scores of the holdout's `rows` beside what happened."""

    scorer: Scorer
    fingerprint: str
    rows: Indices
    scores: Floats
    actuals: Actuals


@dataclass(frozen=True)
class Judged:
    """The verdict on a model, its AUC, and the AUC's interval at 95 %."""

    word: str
    value: float
    low: float
    high: float


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


def train(dataset: Dataset, *, seed: int, num_leaves: int = 15) -> Trained:
    """Fit on all before the holdout; `seed` is LightGBM's."""
    rows = plan_rows(dataset, spec(horizon_bars=1, seed=SEED)).candidate
    labels = dataset.column("label")
    params = {**DEFAULT_PARAMS, "num_leaves": num_leaves}
    fitted = model.fit(
        LightGBMConfig("direction", seed, 1, ROUNDS, PATIENCE, params),
        names=dataset.feature_names,
        train=LabelledRows(dataset.features(rows.fit), labels[rows.fit]),
        early_stop=LabelledRows(dataset.features(rows.early_stop), labels[rows.early_stop]),
    )
    scorer = Scorer.from_text(fitted.text)
    return Trained(
        scorer=scorer,
        fingerprint=fitted.fingerprint,
        rows=rows.test,
        scores=scorer.score(dataset.matrix(rows.test)),
        actuals=_actuals(dataset, rows.test),
    )


def judge(trained: Trained, *, recipes: int = 1) -> Judged:
    """What is said of a model, as the last of so many recipes."""
    scores, actuals = trained.scores, trained.actuals
    scored = build_scored_rows("direction", actuals=actuals, scores=scores, transform="raw")
    draws = draw_blocks(np.unique(actuals.timestamps), bootstrap_of(actuals, seed=SEED))
    found = BootstrapEstimator(scored, draws).estimate(
        partial(weighted_auc, scored), 0.5, "coin_flip", undefined="one sided"
    )
    said = verdict("auc", 0.5, found, blocks=draws.blocks, recipes=recipes)
    return Judged(said.verdict, *map(_known, (found.value, found.low, found.high)))


def _actuals(dataset: Dataset, rows: Indices) -> Actuals:
    return Actuals(
        forward_returns=dataset.column("forward_return")[rows],
        labels=dataset.column("label")[rows],
        last_returns=dataset.column("last_return")[rows],
        timestamps=dataset.times("timestamp")[rows],
        label_ends=dataset.times("label_ends")[rows],
        symbols=dataset.frame["symbol"].rank("dense").cast(pl.Int64).to_numpy()[rows],
    )


def _known(value: float | None) -> float:
    assert value is not None
    return value


def promoted(champion: Trained, challenger: Trained) -> tuple[bool, float | None]:
    """Whether the gate's first test would let the challenger through, and its p-value."""
    test = compare(challenger, champion.scores, decisions=1)
    return test.p_value is not None and test.p_value < test.level, test.p_value


def compare(challenger: Trained, champion_scores: Floats, *, decisions: int) -> GateTest:
    """The gate's test on the challenger's holdout, of which the champion has the same rows."""
    rows = challenger.actuals
    losses = [
        row_losses("direction", labels=rows.labels, scores=scores)
        for scores in (champion_scores, challenger.scores)
    ]
    test = paired_test(rows.timestamps, rows.label_ends, champion=losses[0], challenger=losses[1])
    return gate_test(test, rows=len(rows.labels), decisions=decisions)


def truth(trained: Trained, later: Dataset) -> float:
    """The AUC of the model on rows that come after everything it has seen."""
    return auc(later.column("label"), trained.scorer.score(later.matrix()))
