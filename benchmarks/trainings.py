"""Whole trainings with the default recipe, on bars whose truth is known and around cut years."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from benchmarks.simulated import Planted, next_bar_auc, planted_next_bar, random_bars, solved

from mlengine.core.boosting.model import LightGBMConfig
from mlengine.core.features import CORE
from mlengine.core.metrics import auc
from mlengine.core.runs.progress import ProgressTracker, ignore_progress
from mlengine.core.training import dataset as datasets
from mlengine.core.training import experiment as experiments
from mlengine.core.training.dataset import Dataset
from mlengine.core.training.experiment import EvaluatedModel, Experiment
from mlengine.core.training.row_plan import RowPlan, SplitRows, plan_rows
from mlengine.core.training.spec import TrainSpec

PLANTED_AUC = 0.60


@dataclass(frozen=True)
class Found:
    """AUC and verdict of one training; `truth` is the AUC of the planted score on its holdout."""

    auc: float
    truth: float
    verdict: str
    trees: int


@dataclass(frozen=True)
class Forward:
    """What was expected before a cut, by walk-forward and by random rows, and what came after."""

    walk_forward: float
    folds: tuple[float, ...]
    later: float
    low: float
    high: float
    random_rows: float
    truth: float | None = None


def spec(*, horizon_bars: int, seed: int, test_size: float = 0.2, folds: int = 0) -> TrainSpec:
    return TrainSpec(
        symbols=("simulated",),
        lookback=0,
        test_size=test_size,
        seed=seed,
        folds=folds,
        horizon_bars=horizon_bars,
        embargo_bars=0,
        objective="direction",
        feature_set="core",
        activate="never",
        refit="none",
        label_delay_bars=0,
        interval="1d",
    )


def train(dataset: Dataset, asked: TrainSpec, plan: RowPlan | None = None) -> Experiment:
    return experiments.run(
        dataset,
        plan or plan_rows(dataset, asked),
        LightGBMConfig(asked.objective, asked.seed, 1),
        spec=asked,
        refit=False,
        tracker=ProgressTracker(ignore_progress),
    )


def labelled(bars: pl.DataFrame, *, horizon_bars: int) -> Dataset:
    return datasets.build(bars, CORE, horizon_bars=horizon_bars, objective="direction")


def on_random_bars(
    trainings: int, *, horizon_bars: int, first_seed: int, symbols: int = 4, bars: int = 2_520
) -> list[Found]:
    """Symbols correlated 0.4, as many bars as the default look-back; another seed a training."""
    asked = spec(horizon_bars=horizon_bars, seed=42)
    found = []
    for seed in range(first_seed, first_seed + trainings):
        walk = random_bars(symbols, bars, correlation=0.4, seed=seed)
        found.append(_found(train(labelled(walk, horizon_bars=horizon_bars), asked).candidate))
    return found


def on_planted_bars(
    trainings: int, *, first_seed: int, symbols: int = 20, bars: int = 3_300
) -> list[Found]:
    """The sign of the next move depends on the last one's, with an AUC of 0.60."""
    strength = solved(next_bar_auc, PLANTED_AUC, low=0.0, high=3.0)
    found = []
    for seed in range(first_seed, first_seed + trainings):
        planted = planted_next_bar(symbols, bars, strength=strength, seed=seed)
        dataset = labelled(planted.bars, horizon_bars=1)
        judged = train(dataset, spec(horizon_bars=1, seed=42)).candidate
        found.append(_found(judged, _truth(judged, dataset, planted)))
    return found


def before_and_after(
    dataset: Dataset, *, test_size: float, horizon_bars: int, planted: Planted | None = None
) -> Forward:
    """The holdout is all that lies after the cut, and the five folds are cut from all before."""
    asked = spec(horizon_bars=horizon_bars, seed=42, test_size=test_size, folds=5)
    experiment = train(dataset, asked)
    judged = experiment.candidate
    folds = tuple(_value(fold) for fold in experiment.folds)
    rows = train(dataset, asked, _random_rows(judged.rows, seed=42)).candidate
    later = judged.metrics["auc"]
    return Forward(
        walk_forward=float(np.mean(folds)),
        folds=folds,
        later=_value(judged),
        low=later.low or float("nan"),
        high=later.high or float("nan"),
        random_rows=_value(rows),
        truth=_truth(judged, dataset, planted) if planted else None,
    )


def after(dataset: Dataset, year: int) -> float:
    """The share of the dates that lie in `year` or later."""
    dates = dataset.frame["timestamp"].unique()
    return float((dates >= datetime(year, 1, 1, tzinfo=UTC)).mean() or 0.0)


def _random_rows(stage: SplitRows, *, seed: int) -> RowPlan:
    """The training rows alone, dealt out by row: a fifth to test, 15 % of the rest to stop."""
    rows = np.random.default_rng(seed).permutation(stage.fit_and_early_stop)
    test, rest = np.split(rows, [len(rows) // 5])
    stop, fit = np.split(rest, [int(0.15 * len(rest))])
    return RowPlan((), SplitRows(np.sort(fit), np.sort(stop), np.sort(test), 0, 0))


def _truth(judged: EvaluatedModel, dataset: Dataset, planted: Planted) -> float:
    rows = dataset.frame[judged.rows.test].select("symbol", "timestamp")
    known = rows.join(planted.truth, on=["symbol", "timestamp"], maintain_order="left")
    return auc(judged.actuals.actual_up, known["truth"].to_numpy())


def _found(judged: EvaluatedModel, truth: float = 0.5) -> Found:
    verdict = judged.evaluation.verdict.verdict
    return Found(_value(judged), truth, verdict, judged.fitted.best_iteration)


def _value(judged: EvaluatedModel) -> float:
    value = judged.metrics["auc"].value
    return float("nan") if value is None else value
