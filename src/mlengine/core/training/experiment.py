"""One training on a dataset: walk-forward folds, the candidate, its holdout, and a refit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from mlengine.core import metrics
from mlengine.core.arrays import Floats, Rows
from mlengine.core.boosting import model
from mlengine.core.boosting.binning import Binned, Bins, Sample
from mlengine.core.boosting.model import Fitted, LightGBMConfig, Scorer
from mlengine.core.evaluation import Evaluation, Measure
from mlengine.core.metrics import Baseline, Outcomes
from mlengine.core.runs.progress import Track
from mlengine.core.training import splits
from mlengine.core.training.dataset import Dataset
from mlengine.core.training.spec import TrainSpec
from mlengine.core.training.splits import RowTimes, Split


@dataclass(frozen=True)
class SplitRows:
    """Rows to fit on, to stop on and to judge on; `purged_*` belong to none of them.

    `purged_train` reach into the rows to judge on, `purged_stop` into those to stop on.
    """

    fit: Rows
    stop: Rows
    test: Rows
    purged_train: Rows
    purged_stop: Rows

    @property
    def train(self) -> Rows:
        """All rows that have a say in the model."""
        return np.concatenate([self.fit, self.stop])


@dataclass(frozen=True)
class Plan:
    """Every row number of a training, decided before anything is fitted.

    `refit` are the newest rows, as many dates as a training sees, whether or not one is asked for.
    """

    folds: tuple[SplitRows, ...]
    final: SplitRows
    refit: Rows


@dataclass(frozen=True)
class EvaluatedModel:
    """A model fitted without `stage.test`, and what it says about those rows."""

    stage: SplitRows
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
    """`refit` is the candidate's recipe and number of trees on the plan's newest rows."""

    plan: Plan
    folds: tuple[EvaluatedModel, ...]
    candidate: EvaluatedModel
    refit: Fitted | None


def plan(dataset: Dataset, spec: TrainSpec) -> Plan:
    """Cut holdout, folds and stopping tails; raises TrainingFailed on too little history."""
    times = RowTimes(dataset.times("timestamp"), dataset.times("label_ends"))
    share, embargo, window = spec.test_size, spec.embargo_bars, spec.train_window
    # The folds test the dates before the holdout, also those before its rolling window.
    before = splits.holdout_split(times, test_share=share, embargo_bars=embargo).train
    folds = splits.walk_forward(
        times, before, folds=spec.folds, embargo_bars=embargo, window_dates=window
    )
    holdout = splits.holdout_split(
        times, test_share=share, embargo_bars=embargo, window_dates=window
    )
    return Plan(
        folds=tuple(_stage(times, fold) for fold in folds),
        final=_stage(times, holdout),
        refit=splits.newest(times, window_dates=window),
    )


def run(
    dataset: Dataset,
    plan: Plan,
    recipe: LightGBMConfig,
    *,
    spec: TrainSpec,
    refit: bool,
    track: Track,
) -> Experiment:
    """Fit and judge every fold, then the candidate, then the refit when it is asked for.

    `spec` says what the labels are and how the metrics are to be taken.
    The folds share one binned dataset whose bins come from the oldest fold's fitting rows, so
    that no fold's bins know of later ones. Candidate and refit are binned on their own rows.
    """
    table = _Table(dataset)
    folds = _folds(table, plan, recipe, spec, track)
    report = track.rounds("fit", of=recipe.rounds)
    fitted = _fit(table, plan.final, recipe, report)
    candidate = _judge(table, plan.final, recipe, spec, fitted)
    again = _refit(table, plan, recipe, fitted, report) if refit else None
    return Experiment(plan, folds, candidate, again)


def repeat(
    dataset: Dataset, plan: Plan, recipe: LightGBMConfig, *, refit: bool, track: Track
) -> tuple[Fitted, Fitted | None]:
    """The candidate and the refit of `run` alone, judged by nobody."""
    table = _Table(dataset)
    report = track.rounds("fit", of=recipe.rounds)
    candidate = _fit(table, plan.final, recipe, report)
    return candidate, _refit(table, plan, recipe, candidate, report) if refit else None


class _Table:
    """The columns of a dataset: labels as arrays, features as the frame that holds them."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.names = dataset.feature_names
        self.labels = dataset.column("label")
        self.forward_returns = dataset.column("forward_return")
        self.last_returns = dataset.column("last_return")
        self.dates = dataset.times("timestamp")
        self.symbols = dataset.frame["symbol"].rank("dense").cast(pl.Int64).to_numpy()

    def sample(self, rows: Rows) -> Sample:
        return Sample(self.dataset.features(rows), self.labels[rows])

    def binned(self, recipe: LightGBMConfig, fit: Rows, stop: Rows | None) -> Binned:
        """Binned by the rows to fit on."""
        return Binned.of(
            recipe.lightgbm_params(),
            names=self.names,
            train=self.sample(fit),
            stop=None if stop is None else self.sample(stop),
        )

    def outcomes(self, rows: Rows) -> Outcomes:
        return Outcomes(
            forward_returns=self.forward_returns[rows],
            labels=self.labels[rows],
            last_returns=self.last_returns[rows],
            dates=self.dates[rows],
            symbols=self.symbols[rows],
        )


def _stage(times: RowTimes, split: Split) -> SplitRows:
    tail = splits.stopping_tail(times, split.train)
    return SplitRows(tail.train, tail.test, split.test, split.purged, tail.purged)


def _folds(
    table: _Table, plan: Plan, recipe: LightGBMConfig, spec: TrainSpec, track: Track
) -> tuple[EvaluatedModel, ...]:
    if not plan.folds:
        return ()
    bins = Bins.of(
        recipe.lightgbm_params(),
        names=table.names,
        edges=table.sample(plan.folds[0].fit),
        rows=table.sample(rows_used_by_folds(plan)),
    )
    judged = []
    for number, stage in enumerate(plan.folds, start=1):
        report = track.rounds("folds", of=recipe.rounds, fold=number, folds=len(plan.folds))
        fitted = model.grow(recipe, bins.part(stage.fit, stage.stop), on_iteration=report)
        judged.append(_judge(table, stage, recipe, spec, fitted))
    return tuple(judged)


def rows_used_by_folds(plan: Plan) -> Rows:
    """The leading rows of the dataset, up to the last one that a fold is fitted or stopped on."""
    return np.arange(1 + max(int(stage.stop[-1]) for stage in plan.folds))


def _fit(
    table: _Table, stage: SplitRows, recipe: LightGBMConfig, on_iteration: Callable[[int], None]
) -> Fitted:
    return model.grow(
        recipe, table.binned(recipe, stage.fit, stage.stop), on_iteration=on_iteration
    )


def _judge(
    table: _Table, stage: SplitRows, recipe: LightGBMConfig, spec: TrainSpec, fitted: Fitted
) -> EvaluatedModel:
    scores = Scorer.from_text(fitted.text).score(table.dataset.matrix(stage.test))
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
    return EvaluatedModel(stage, fitted, scores, outcomes, baseline, evaluation)


def _refit(
    table: _Table,
    plan: Plan,
    recipe: LightGBMConfig,
    candidate: Fitted,
    on_iteration: Callable[[int], None],
) -> Fitted:
    again = replace(recipe, rounds=candidate.best_iteration)
    return model.grow(again, table.binned(again, plan.refit, None), on_iteration=on_iteration)
