"""How well live predictions have done, by the metrics of trainings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from mlengine.core import metrics
from mlengine.core.arrays import Floats, Indices, Ints, Moments, finite_or_none
from mlengine.core.evaluation import Evaluation
from mlengine.core.metrics import Actuals, Baseline
from mlengine.core.metrics.correlations import correlation_by_date
from mlengine.core.metrics.losses import row_losses
from mlengine.core.metrics.scored_rows import build_scored_rows
from mlengine.core.metrics.session_dates import mean_by_session, session_dates
from mlengine.core.outcomes.outcome import LabelTerms
from mlengine.core.timestamps import EPOCH


@dataclass(frozen=True, eq=False)
class ScoredOutcomes:
    """Scored outcomes of one version, sorted by bar, then symbol: arrays of one length.

    `timestamps` and `label_ends` are microseconds of the epoch. `last_returns` is NaN without a bar
    before, and `other_scores`, those of the version that served before, where there is none.
    """

    symbols: np.ndarray
    timestamps: Moments
    label_ends: Moments
    scores: Floats
    labels: Floats
    forward_returns: Floats
    last_returns: Floats
    other_scores: Floats

    @property
    def rows(self) -> int:
        return len(self.scores)

    @property
    def days(self) -> Ints:
        """The date (UTC) of each row's bar, in days since 1970."""
        return session_dates(self.timestamps)

    def take(self, rows: Indices) -> ScoredOutcomes:
        """Some of the rows, which keep their order."""
        return ScoredOutcomes(**{name: array[rows] for name, array in vars(self).items()})


@dataclass(frozen=True)
class Judge:
    """What a version's predictions are held against: its label, and what it learnt of that.

    `up_rate` is the share of rises in its training. The intervals come from `seed`.
    """

    terms: LabelTerms
    up_rate: float
    cost_bps: float
    seed: int

    @property
    def constant(self) -> float:
        """What a forecaster without features says."""
        return self.up_rate if self.terms.objective == "direction" else 0.0

    @property
    def fall(self) -> float:
        """By how many times itself the mean of `daily_gains` falls without skill."""
        return 2.0 if self.terms.objective == "direction" else 1.0

    def losses(self, outcomes: ScoredOutcomes, scores: Floats) -> Floats:
        """One a row: log-loss in nats, or squared error."""
        return row_losses(self.terms.objective, labels=outcomes.labels, scores=scores)

    def gains(self, outcomes: ScoredOutcomes) -> Floats:
        """By how much each row's loss is below that of the constant."""
        constant = np.full(outcomes.rows, self.constant)
        return self.losses(outcomes, constant) - self.losses(outcomes, outcomes.scores)


@dataclass(frozen=True)
class PartFigures:
    """Of the rows of one symbol, or of the symbols of one market; null where not defined."""

    name: str
    rows: int
    loss: float
    baseline_loss: float
    hit_rate: float
    auc: float | None


@dataclass(frozen=True)
class BarFigures:
    """Of the rows of one bar; `ic` and `rank_ic` are null below ten symbols."""

    bar: datetime
    rows: int
    loss: float
    baseline_loss: float
    hit_rate: float
    ic: float | None
    rank_ic: float | None


def actuals_of(outcomes: ScoredOutcomes) -> Actuals:
    """What happened, as metrics take it."""
    _, symbols = np.unique(outcomes.symbols, return_inverse=True)
    return Actuals(
        forward_returns=outcomes.forward_returns,
        labels=outcomes.labels,
        last_returns=outcomes.last_returns,
        timestamps=outcomes.timestamps,
        label_ends=outcomes.label_ends,
        symbols=symbols,
    )


def evaluate_outcomes(outcomes: ScoredOutcomes, judge: Judge) -> Evaluation | None:
    """The figures of a training on live rows; None without any."""
    if not outcomes.rows:
        return None
    return metrics.evaluate(
        judge.terms.objective,
        actuals=actuals_of(outcomes),
        scores=outcomes.scores,
        baseline=Baseline(judge.up_rate, judge.constant),
        horizon_bars=judge.terms.horizon_bars,
        cost_bps=judge.cost_bps,
        seed=judge.seed,
        transform=judge.terms.transform,
    )


def figures_by_part(
    outcomes: ScoredOutcomes, judge: Judge, parts: np.ndarray
) -> Iterator[PartFigures]:
    """By the names in `parts`, one a row, in their order."""
    if not outcomes.rows:
        return
    names, part = np.unique(parts, return_inverse=True)
    order = np.argsort(part, kind="stable")
    losses = partial(judge.losses, outcomes)
    loss, baseline = losses(outcomes.scores), losses(np.full(outcomes.rows, judge.constant))
    targets = outcomes.forward_returns if judge.terms.transform == "raw" else outcomes.labels
    up = (targets > 0.0).astype(np.float64)
    said_up = (
        outcomes.scores >= 0.5 if judge.terms.objective == "direction" else outcomes.scores > 0
    )
    for name, rows in zip(names, np.split(order, np.cumsum(np.bincount(part))[:-1]), strict=True):
        yield PartFigures(
            str(name),
            len(rows),
            float(loss[rows].mean()),
            float(baseline[rows].mean()),
            metrics.hit_rate(up[rows], said_up[rows]),
            finite_or_none(metrics.auc(up[rows], outcomes.scores[rows])),
        )


def figures_by_bar(outcomes: ScoredOutcomes, judge: Judge) -> Iterator[BarFigures]:
    """Of each bar, the oldest first."""
    if not outcomes.rows:
        return
    scored = build_scored_rows(
        judge.terms.objective,
        actuals=actuals_of(outcomes),
        scores=outcomes.scores,
        transform=judge.terms.transform,
    )
    ic, rank_ic = (correlation_by_date(scored, ranked=ranked) for ranked in (False, True))
    parts = figures_by_part(outcomes, judge, outcomes.timestamps)
    for part, *correlations in zip(parts, ic.tolist(), rank_ic.tolist(), strict=True):
        bar = EPOCH + timedelta(microseconds=int(part.name))
        figures = part.rows, part.loss, part.baseline_loss, part.hit_rate
        yield BarFigures(bar, *figures, *map(finite_or_none, correlations))


def daily_gains(outcomes: ScoredOutcomes, judge: Judge) -> Floats:
    """What each date, in its order, says for the scores: above zero if they knew something.

    Of chances the mean log-loss of the constant less theirs. Of expected returns the correlation
    with what came, about zero: a squared error is large where markets move much, so that skill
    would come and go with volatility. It is 0 where all scores or all labels are.
    """
    if judge.terms.objective == "direction":
        return mean_by_session(outcomes.timestamps, judge.gains(outcomes))
    scores, labels = outcomes.scores, outcomes.labels
    products, squares, sizes = (
        mean_by_session(outcomes.timestamps, values)
        for values in (scores * labels, scores * scores, labels * labels)
    )
    spread = np.sqrt(squares) * np.sqrt(sizes)
    cosines: Floats = np.zeros(len(spread))
    np.divide(products, spread, out=cosines, where=spread > 0.0)
    return cosines


def daily_gains_over_other(outcomes: ScoredOutcomes, judge: Judge) -> Floats:
    """The mean loss of the other version less that of this one; NaN on dates without its scores."""
    have = np.isfinite(outcomes.other_scores)
    gains = judge.losses(outcomes, outcomes.other_scores) - judge.losses(outcomes, outcomes.scores)
    _, date = np.unique(outcomes.days, return_inverse=True)
    counts = np.bincount(date, weights=have)
    totals = np.bincount(date, weights=np.where(have, gains, 0.0))
    means: Floats = np.full(len(counts), np.nan)
    np.divide(totals, counts, out=means, where=counts > 0.0)
    return means
