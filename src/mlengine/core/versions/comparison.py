"""Two versions side by side: on rows that neither had seen, and in how they were made."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import numpy as np
import polars as pl

from mlengine.core import metrics
from mlengine.core.arrays import Floats, finite_or_none
from mlengine.core.metrics.losses import LOSS_NAMES, row_losses
from mlengine.core.metrics.session_dates import session_dates, steps_to_label_end
from mlengine.core.promotion.diebold_mariano import DieboldMariano
from mlengine.core.promotion.gate import bars_to_label_end, learning_task
from mlengine.core.promotion.paired_test import paired_test_of_steps
from mlengine.core.versions.manifest import Manifest
from mlengine.core.versions.recipe_diff import RecipeDiff, recipe_diff

_KEYS = ["symbol", "timestamp"]


@dataclass(frozen=True)
class ScoredVersion:
    """One version: its manifest, and its candidate's scores on its holdout.

    `holdout` has the columns symbol, timestamp, label and score.
    """

    manifest: Manifest
    holdout: pl.DataFrame

    @property
    def unseen(self) -> pl.DataFrame:
        since = max(self.manifest.split.holdout.start, self.manifest.candidate_trained_through)
        return self.holdout.filter(pl.col("timestamp") >= since)


@dataclass(frozen=True)
class MetricPair:
    """One metric of both, on the same rows; null where it is not defined."""

    metric: str
    a: float | None
    b: float | None


@dataclass(frozen=True)
class CommonRows:
    """The rows that both comparisons are about; `start` and `end` are feature bars."""

    rows: int
    dates: int
    symbols: int
    start: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`reason` says why there are no figures: `not_comparable` (their labels mean different
    things) or `no_common_rows`.

    `test` is the gate's, with `a` as the champion: its mean difference is positive where `b` has
    the smaller `loss`, and its p-value says how easily so large a lead comes by luck. The
    correlations are those of the two candidates' predictions.
    """

    a: str
    b: str
    loss: str
    reason: str | None = None
    common: CommonRows | None = None
    metrics: tuple[MetricPair, ...] = ()
    test: DieboldMariano | None = None
    correlation: float | None = None
    rank_correlation: float | None = None
    recipe: tuple[RecipeDiff, ...]


def compare(a: ScoredVersion, b: ScoredVersion) -> Comparison:
    """The candidates of two versions on the rows of both holdouts that neither was trained on.

    Labels are those of the version with the higher number, whose bars are the later ones.
    """
    recipe = recipe_diff(a.manifest, b.manifest)
    if not _same_label(a.manifest, b.manifest):
        return _not_compared(a, b, "not_comparable", recipe)
    rows = _join_unseen(a, b)
    if rows.is_empty():
        return _not_compared(a, b, "no_common_rows", recipe)
    objective, labels = b.manifest.spec.objective, rows["label"].to_numpy()
    scores_a, scores_b = rows["score_a"].to_numpy(), rows["score_b"].to_numpy()
    losses = [
        row_losses(objective, labels=labels, scores=scores) for scores in (scores_a, scores_b)
    ]
    timestamps = rows["timestamp"].dt.epoch("us").to_numpy()
    test = paired_test_of_steps(
        timestamps, _steps_ahead(rows), champion=losses[0], challenger=losses[1]
    )
    return Comparison(
        a=a.manifest.version,
        b=b.manifest.version,
        loss=LOSS_NAMES[objective],
        common=_common_rows(rows),
        metrics=tuple(_pairs(objective, labels, scores_a, scores_b)),
        test=test,
        correlation=finite_or_none(metrics.correlation(scores_a, scores_b)),
        rank_correlation=finite_or_none(
            metrics.correlation(*map(metrics.ranks, (scores_a, scores_b)))
        ),
        recipe=recipe,
    )


def _not_compared(
    a: ScoredVersion, b: ScoredVersion, reason: str, recipe: tuple[RecipeDiff, ...]
) -> Comparison:
    return Comparison(
        a=a.manifest.version,
        b=b.manifest.version,
        loss=LOSS_NAMES[a.manifest.spec.objective],
        reason=reason,
        recipe=recipe,
    )


def _same_label(a: Manifest, b: Manifest) -> bool:
    """Whether a row's label means the same for both.

    Other than for the gate, universes may differ: common rows are common. A z-score among the
    symbols of a date is another label in another universe.
    """
    first = learning_task(a.spec, universe_sha256=a.data.universe_sha256)
    second = learning_task(b.spec, universe_sha256=b.data.universe_sha256)
    if "cs_zscore" in (first.label_transform, second.label_transform):
        return first == second
    return first.without_universe == second.without_universe


def _join_unseen(a: ScoredVersion, b: ScoredVersion) -> pl.DataFrame:
    """Rows of both, in the order of time: label, score_a and score_b.

    `label_ends` is null for the last rows of a symbol.
    """
    newer = max(a, b, key=lambda scored: int(scored.manifest.version[1:]))
    label_bars = bars_to_label_end(newer.manifest.spec)
    ends = pl.col("timestamp").sort().shift(-label_bars).over("symbol").alias("label_ends")
    unseen = newer.unseen.sort(*_KEYS)
    rows = unseen.select(*_KEYS, "label", ends)
    for name, scored in (("score_a", a), ("score_b", b)):
        scores = scored.unseen.select(*_KEYS, pl.col("score").alias(name))
        rows = rows.join(scores, on=_KEYS, maintain_order="left")
    return rows.sort("timestamp", "symbol")


def _steps_ahead(rows: pl.DataFrame) -> int:
    """Session dates until an outcome is known, by the rows whose label ends on another row."""
    known = rows.drop_nulls("label_ends")
    if known.is_empty():
        return len(np.unique(session_dates(rows["timestamp"].dt.epoch("us").to_numpy())))
    timestamps, label_ends = (
        known[name].dt.epoch("us").to_numpy() for name in ("timestamp", "label_ends")
    )
    return steps_to_label_end(timestamps, label_ends)


def _common_rows(rows: pl.DataFrame) -> CommonRows:
    timestamps = rows["timestamp"]
    return CommonRows(
        rows=rows.height,
        dates=timestamps.dt.date().n_unique(),
        symbols=rows["symbol"].n_unique(),
        start=cast("datetime", timestamps.min()),
        end=cast("datetime", timestamps.max()),
    )


def _pairs(
    objective: str, labels: Floats, scores_a: Floats, scores_b: Floats
) -> Iterator[MetricPair]:
    measured_a = _metric_values(objective, labels, scores_a)
    measured_b = _metric_values(objective, labels, scores_b)
    for name, value in measured_a.items():
        yield MetricPair(name, finite_or_none(value), finite_or_none(measured_b[name]))


def _metric_values(objective: str, labels: Floats, scores: Floats) -> dict[str, float]:
    """The metrics that need nothing but the rows; `hit_rate` is about those that moved.

    Z-scores are compared with z-scores: a sign says ahead of or behind the other symbols.
    """
    if objective == "direction":
        return {
            "log_loss": metrics.log_loss(labels, scores),
            "brier": metrics.brier(labels, scores),
            "auc": metrics.auc(labels, scores),
            "accuracy": metrics.hit_rate(labels, scores >= 0.5),
        }
    moved = labels != 0.0
    return {
        "mse": metrics.mse(labels, scores),
        "mae": metrics.mae(labels, scores),
        "pooled_ic": metrics.correlation(labels, scores),
        "pooled_rank_ic": metrics.correlation(*map(metrics.ranks, (labels, scores))),
        "hit_rate": metrics.hit_rate(labels[moved], scores[moved] > 0.0),
    }
