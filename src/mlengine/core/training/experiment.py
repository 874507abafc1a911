"""One training on a dataset: walk-forward folds, the candidate, its holdout, and a refit."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import polars as pl

from mlengine.core import metrics
from mlengine.core.arrays import Floats, Indices
from mlengine.core.boosting import model
from mlengine.core.boosting.binning import LabelledRows, SharedBins, SharedEdges
from mlengine.core.boosting.early_stopping import cut_at_best_round
from mlengine.core.boosting.model import FittedModel, LightGBMConfig, Scorer
from mlengine.core.evaluation import Evaluation, MetricEstimate
from mlengine.core.metrics import Actuals, Baseline
from mlengine.core.runs.progress import ProgressTracker
from mlengine.core.training.dataset import Dataset
from mlengine.core.training.fit_cluster import FitCluster
from mlengine.core.training.fold_work import FoldFanOut, FoldWork
from mlengine.core.training.row_plan import RowPlan, SplitRows, rows_used_by_folds
from mlengine.core.training.spec import TrainSpec


@dataclass(frozen=True)
class EvaluatedModel:
    """A model fitted without `rows.test`, and its scores of those rows beside what happened."""

    rows: SplitRows
    fitted: FittedModel
    scores: Floats
    actuals: Actuals
    baseline: Baseline
    evaluation: Evaluation

    @property
    def metrics(self) -> Mapping[str, MetricEstimate]:
        return self.evaluation.metrics


@dataclass(frozen=True)
class Experiment:
    """`refit` has the candidate's parameters and number of trees, on the plan's newest rows."""

    plan: RowPlan
    folds: tuple[EvaluatedModel, ...]
    candidate: EvaluatedModel
    refit: FittedModel | None


def run(
    dataset: Dataset,
    plan: RowPlan,
    config: LightGBMConfig,
    *,
    spec: TrainSpec,
    refit: bool,
    tracker: ProgressTracker,
    recipes: int = 1,
    fan_out: FoldFanOut | None = None,
    cluster: FitCluster | None = None,
) -> Experiment:
    """Fit and evaluate every fold, then the candidate, then fit the refit if it is wanted.

    `spec` says what the labels are and how the metrics are to be taken, `recipes` how many were
    judged on some dates of the holdout, this one included.
    The folds share one binned dataset whose bins come from the oldest fold's fitting rows, so
    that no fold's bins know of later ones. Candidate and refit are binned on their own rows.
    With `fan_out` others fit folds while the candidate is fitted here; the result is the same.
    With `cluster` it does every fit, one after the other and each in bins of its own rows.
    """
    trainer = _Trainer(dataset, config, cluster)
    if fan_out is None or cluster is not None or not plan.folds:
        folds = trainer.evaluate_folds(plan, trainer.fit_folds(plan, tracker), spec)
        fitted, again = trainer.fit_candidate(plan, refit=refit, tracker=tracker)
        judged = trainer.evaluate(plan.candidate, fitted, spec, recipes=recipes)
    else:
        work = trainer.fold_work(plan)
        fan_out.begin(work)
        fitted, again = trainer.fit_candidate(plan, refit=refit, tracker=tracker, stage="folds")
        judged = trainer.evaluate(plan.candidate, fitted, spec, recipes=recipes)
        folds = trainer.evaluate_folds(plan, fan_out.gather(work, tracker), spec)
    return Experiment(plan, folds, judged, again)


def fit_without_evaluation(
    dataset: Dataset,
    plan: RowPlan,
    config: LightGBMConfig,
    *,
    refit: bool,
    tracker: ProgressTracker,
) -> tuple[FittedModel, FittedModel | None]:
    """The candidate and the refit of `run` alone, without folds and metrics."""
    return _Trainer(dataset, config).fit_candidate(plan, refit=refit, tracker=tracker)


class _Trainer:
    """One configuration on one dataset: its labels as arrays, its features as their frame."""

    def __init__(
        self, dataset: Dataset, config: LightGBMConfig, cluster: FitCluster | None = None
    ) -> None:
        self.dataset, self.config, self.cluster = dataset, config, cluster
        self.labels = dataset.column("label")
        self.forward_returns = dataset.column("forward_return")
        self.last_returns = dataset.column("last_return")
        self.timestamps = dataset.times("timestamp")
        self.label_ends = dataset.times("label_ends")
        self.symbols = dataset.frame["symbol"].rank("dense").cast(pl.Int64).to_numpy()

    def fold_work(self, plan: RowPlan) -> FoldWork:
        return FoldWork(self.config, self._bins_in_memory(plan), plan.folds)

    def fit_folds(
        self, plan: RowPlan, tracker: ProgressTracker
    ) -> Iterator[tuple[int, FittedModel]]:
        if not plan.folds:
            return
        bins = self._bins_of_folds(plan) if self.cluster is None else None
        rounds, folds = self.config.rounds, len(plan.folds)
        for fold, rows in enumerate(plan.folds, start=1):
            report = tracker.round_callback("folds", of=rounds, fold=fold, folds=folds)
            if bins is None:
                yield fold, self._fit(self.config, rows.fit, rows.early_stop, report)
                continue
            # Not by a name: the rows of one fold go before those of the next are binned.
            yield (
                fold,
                model.fit_binned(
                    self.config, bins.subset(rows.fit, rows.early_stop), on_iteration=report
                ),
            )

    def fit_candidate(
        self, plan: RowPlan, *, refit: bool, tracker: ProgressTracker, stage: str = "fit"
    ) -> tuple[FittedModel, FittedModel | None]:
        """The candidate and, with `refit`, the refit of as many trees."""
        report = tracker.round_callback(stage, of=self.config.rounds)
        rows = plan.candidate
        candidate = self._fit(self.config, rows.fit, rows.early_stop, report)
        if not refit:
            return candidate, None
        config = replace(self.config, rounds=candidate.best_iteration)
        return candidate, self._fit(config, plan.refit, None, report)

    def evaluate_folds(
        self, plan: RowPlan, fits: Iterable[tuple[int, FittedModel]], spec: TrainSpec
    ) -> tuple[EvaluatedModel, ...]:
        """In the order of the folds, each as soon as it is there."""
        models = {fold: self.evaluate(plan.folds[fold - 1], model, spec) for fold, model in fits}
        return tuple(models[fold] for fold in sorted(models))

    def evaluate(
        self, rows: SplitRows, fitted: FittedModel, spec: TrainSpec, *, recipes: int = 1
    ) -> EvaluatedModel:
        scorer = Scorer.from_text(fitted.text)
        scores = np.concatenate([scorer.score(each) for each in self.dataset.blocks(rows.test)])
        test = _without_copy(rows.test)
        actuals = Actuals(
            forward_returns=self.forward_returns[test],
            labels=self.labels[test],
            last_returns=self.last_returns[test],
            timestamps=self.timestamps[test],
            label_ends=self.label_ends[test],
            symbols=self.symbols[test],
        )
        training = rows.fit_and_early_stop
        baseline = metrics.baseline(self.forward_returns[training], self.labels[training])
        evaluation = metrics.evaluate(
            self.config.objective,
            actuals=actuals,
            scores=scores,
            baseline=baseline,
            horizon_bars=spec.horizon_bars,
            cost_bps=spec.cost_bps,
            seed=spec.seed,
            transform=spec.label,
            recipes=recipes,
        )
        return EvaluatedModel(rows, fitted, scores, actuals, baseline, evaluation)

    def _bins_of_folds(self, plan: RowPlan) -> SharedBins | SharedEdges:
        """Rows that memory does not hold are binned anew for each fold, which gives the same."""
        if not self.dataset.spilled:
            return self._bins_in_memory(plan)
        params, names = self.config.lightgbm_params(), self.dataset.feature_names
        return SharedEdges.of(params, names=names, edges=plan.folds[0].fit, take=self._labelled)

    def _bins_in_memory(self, plan: RowPlan) -> SharedBins:
        params, names = self.config.lightgbm_params(), self.dataset.feature_names
        edges = self._labelled(plan.folds[0].fit)
        rows = self._labelled(rows_used_by_folds(plan))
        return SharedBins.of(params, names=names, edges=edges, rows=rows)

    def _blocks(self, rows: Indices) -> Iterator[tuple[Floats, Floats]]:
        """The features and labels of some rows, ascending."""
        first = 0
        for block in self.dataset.blocks(rows):
            yield block, self.labels[rows[first : first + len(block)]]
            first += len(block)

    def _labelled(self, rows: Indices) -> LabelledRows:
        return LabelledRows(self.dataset.to_bin(rows), self.labels[rows])

    def _fit(
        self,
        config: LightGBMConfig,
        fit: Indices,
        early_stop: Indices | None,
        on_iteration: Callable[[int], None],
    ) -> FittedModel:
        if self.cluster is not None:
            names = self.dataset.feature_names
            blocks, meanwhile = self._blocks(fit), partial(on_iteration, 0)
            text = self.cluster.fit(config, names=names, blocks=blocks, meanwhile=meanwhile)
            stop = None if early_stop is None else self._blocks(early_stop)
            return cut_at_best_round(text, config, names=names, early_stop=stop)
        return model.fit(
            config,
            names=self.dataset.feature_names,
            train=self._labelled(fit),
            early_stop=None if early_stop is None else self._labelled(early_stop),
            on_iteration=on_iteration,
        )


def _without_copy(rows: Indices) -> Indices | slice:
    """Rows, ascending, as a slice where they have no gap."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
