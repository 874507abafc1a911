"""One training on a dataset: walk-forward folds, the candidate, its holdout, and a refit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from mlengine.core import metrics, model, splits
from mlengine.core.arrays import Floats, Rows
from mlengine.core.dataset import Dataset
from mlengine.core.evaluation import Evaluation, Measure
from mlengine.core.metrics import Baseline, Outcomes
from mlengine.core.model import Fitted, Recipe, Sample, Scorer
from mlengine.core.progress import Track
from mlengine.core.splits import RowTimes, Split
from mlengine.core.train_spec import TrainSpec


@dataclass(frozen=True)
class Stage:
    """Rows to fit on, to stop on and to judge on; `purged_*` belong to none of them."""

    fit: Rows
    stop: Rows
    test: Rows
    purged_train: int
    purged_stop: int

    @property
    def train(self) -> Rows:
        """All rows that have a say in the model."""
        return np.concatenate([self.fit, self.stop])


@dataclass(frozen=True)
class Plan:
    """Every row number of a training, decided before anything is fitted."""

    folds: tuple[Stage, ...]
    final: Stage


@dataclass(frozen=True)
class Judged:
    """A model fitted without `stage.test`, and what it says about those rows."""

    stage: Stage
    fitted: Fitted
    scores: Floats
    outcomes: Outcomes
    baseline: Baseline
    evaluation: Evaluation

    @property
    def metrics(self) -> Mapping[str, Measure]:
        return self.evaluation.metrics


@dataclass(frozen=True)
class Experiment:
    """`refit` is the candidate's recipe and number of trees on all labelled rows."""

    folds: tuple[Judged, ...]
    candidate: Judged
    refit: Fitted | None


def plan(dataset: Dataset, spec: TrainSpec) -> Plan:
    """Cut holdout, folds and stopping tails; raises TrainingFailed on too little history."""
    times = RowTimes(dataset.times("timestamp"), dataset.times("label_ends"))
    embargo = spec.embargo_bars
    holdout = splits.holdout_split(times, test_share=spec.test_size, embargo_bars=embargo)
    folds = splits.walk_forward(times, holdout.train, folds=spec.folds, embargo_bars=embargo)
    return Plan(
        folds=tuple(_stage(times, fold) for fold in folds),
        final=_stage(times, holdout),
    )


def run(
    dataset: Dataset, plan: Plan, recipe: Recipe, *, spec: TrainSpec, refit: bool, track: Track
) -> Experiment:
    """Fit and judge every fold, then the candidate, then the refit when it is asked for.

    `spec` says what the labels are and how the metrics are to be taken.
    """
    table = _Table(dataset)
    count = len(plan.folds)
    folds = []
    for number, stage in enumerate(plan.folds, start=1):
        report = track.rounds("folds", of=recipe.rounds, fold=number, folds=count)
        folds.append(_judge(table, stage, recipe, spec, report))
    report = track.rounds("fit", of=recipe.rounds)
    candidate = _judge(table, plan.final, recipe, spec, report)
    again = _refit(table, recipe, candidate.fitted.best_iteration, report) if refit else None
    return Experiment(tuple(folds), candidate, again)


class _Table:
    """The columns of a dataset as arrays, taken out once."""

    def __init__(self, dataset: Dataset) -> None:
        self.names = dataset.feature_names
        self.features = dataset.matrix()
        self.labels = dataset.column("label")
        self.forward_returns = dataset.column("forward_return")
        self.last_returns = dataset.column("last_return")
        self.dates = dataset.times("timestamp")
        self.symbols = dataset.frame["symbol"].rank("dense").cast(pl.Int64).to_numpy()

    def sample(self, rows: Rows) -> Sample:
        return Sample(self.features[rows], self.labels[rows])

    def outcomes(self, rows: Rows) -> Outcomes:
        return Outcomes(
            forward_returns=self.forward_returns[rows],
            labels=self.labels[rows],
            last_returns=self.last_returns[rows],
            dates=self.dates[rows],
            symbols=self.symbols[rows],
        )


def _stage(times: RowTimes, split: Split) -> Stage:
    tail = splits.stopping_tail(times, split.train)
    return Stage(tail.train, tail.test, split.test, split.purged, tail.purged)


def _judge(
    table: _Table,
    stage: Stage,
    recipe: Recipe,
    spec: TrainSpec,
    on_iteration: Callable[[int], None],
) -> Judged:
    fitted = model.fit(
        recipe,
        names=table.names,
        train=table.sample(stage.fit),
        stop=table.sample(stage.stop),
        on_iteration=on_iteration,
    )
    scores = Scorer.from_text(fitted.text).score(table.features[stage.test])
    outcomes = table.outcomes(stage.test)
    baseline = metrics.baseline(table.forward_returns[stage.train], table.labels[stage.train])
    evaluation = metrics.evaluate(
        recipe.objective,
        outcomes=outcomes,
        scores=scores,
        baseline=baseline,
        horizon_bars=spec.horizon_bars,
        cost_bps=spec.cost_bps,
        seed=spec.seed,
        transform=spec.label,
    )
    return Judged(stage, fitted, scores, outcomes, baseline, evaluation)


def _refit(
    table: _Table, recipe: Recipe, rounds: int, on_iteration: Callable[[int], None]
) -> Fitted:
    everything = Sample(table.features, table.labels)
    return model.fit(
        replace(recipe, rounds=rounds),
        names=table.names,
        train=everything,
        stop=None,
        on_iteration=on_iteration,
    )
