"""Do the numbers mean what they say? `python -m benchmarks.verdicts random|planted|later`.

random   trainings on bars without an edge: how many get the verdict `edge`.
planted  trainings on bars whose next move can be forecast with an AUC of 0.60: what they find.
later    walk-forward AUC before seven cut years, against the AUC on everything after the cut, on
         real bars and on bars with a planted 0.60, with a split by random rows beside them.

Every training is the platform's own, with its default recipe, on one thread. The full form takes
minutes to an hour of a core; `--short` is what the tests run.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from benchmarks.simulated import (
    Planted,
    next_bar_auc,
    planted_next_bar,
    planted_trend,
    random_bars,
    solved,
    trend_auc,
)

from mlengine.core import dataset as datasets
from mlengine.core import experiment as experiments
from mlengine.core.bars import BARS_SCHEMA
from mlengine.core.dataset import Dataset
from mlengine.core.experiment import Experiment, Judged, Plan, Stage
from mlengine.core.features import CORE
from mlengine.core.metrics import auc
from mlengine.core.model import Recipe
from mlengine.core.progress import Track, ignore
from mlengine.core.train_spec import TrainSpec

PLANTED_AUC = 0.60
CUT_YEARS = tuple(range(2012, 2019))
BARS_VARIABLE = "MLENGINE_BENCH_BARS"


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


def train(dataset: Dataset, asked: TrainSpec, plan: Plan | None = None) -> Experiment:
    return experiments.run(
        dataset,
        plan or experiments.plan(dataset, asked),
        Recipe(asked.objective, asked.seed, 1),
        spec=asked,
        refit=False,
        track=Track(ignore),
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
    rows = train(dataset, asked, _random_rows(judged.stage, seed=42)).candidate
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


def _random_rows(stage: Stage, *, seed: int) -> Plan:
    """The training rows alone, dealt out by row: a fifth to test, 15 % of the rest to stop."""
    rows = np.random.default_rng(seed).permutation(stage.train)
    test, rest = np.split(rows, [len(rows) // 5])
    stop, fit = np.split(rest, [int(0.15 * len(rest))])
    return Plan((), Stage(np.sort(fit), np.sort(stop), np.sort(test), 0, 0))


def _truth(judged: Judged, dataset: Dataset, planted: Planted) -> float:
    rows = dataset.frame[judged.stage.test].select("symbol", "timestamp")
    known = rows.join(planted.truth, on=["symbol", "timestamp"], maintain_order="left")
    return auc(judged.outcomes.ups, known["truth"].to_numpy())


def _found(judged: Judged, truth: float = 0.5) -> Found:
    verdict = judged.evaluation.verdict.verdict
    return Found(_value(judged), truth, verdict, judged.fitted.best_iteration)


def _value(judged: Judged) -> float:
    value = judged.metrics["auc"].value
    return float("nan") if value is None else value


def print_random(trainings: int, horizons: Sequence[int], first_seed: int) -> None:
    print("| h | trainings | edge | worse | mean AUC | std of AUC | one tree | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for horizon in horizons:
        started = time.perf_counter()
        found = on_random_bars(trainings, horizon_bars=horizon, first_seed=first_seed)
        aucs, words = np.array([f.auc for f in found]), Counter(f.verdict for f in found)
        print(
            f"| {horizon} | {trainings} | {words['edge'] / trainings:.1%}"
            f" | {words['worse'] / trainings:.1%} | {aucs.mean():.4f} | {aucs.std():.4f}"
            f" | {sum(f.trees == 1 for f in found) / trainings:.0%}"
            f" | {time.perf_counter() - started:.0f} |",
            flush=True,
        )


def print_planted(trainings: int, first_seed: int) -> None:
    found = on_planted_bars(trainings, first_seed=first_seed)
    aucs, truths = np.array([f.auc for f in found]), np.array([f.truth for f in found])
    near = np.abs(aucs - PLANTED_AUC) <= 0.02
    print("| planted AUC 0.60, h = 1, 20 symbols of 3,300 bars | |\n| --- | --- |")
    print(f"| trainings | {trainings} |")
    print(f"| mean AUC | {aucs.mean():.4f} ({aucs.mean() - PLANTED_AUC:+.4f}) |")
    print(f"| AUC from, to | {aucs.min():.4f}, {aucs.max():.4f} |")
    print(f"| within 0.02 of 0.60 | {near.mean():.0%} |")
    print(f"| verdict edge | {np.mean([f.verdict == 'edge' for f in found]):.0%} |")
    print(f"| the true score's AUC on the same holdouts, mean | {truths.mean():.4f} |")
    print(f"| the true score's AUC, from, to | {truths.min():.4f}, {truths.max():.4f} |")
    print(f"| AUC less the true score's, mean | {(aucs - truths).mean():+.4f} |")


def print_later(path: str | None, years: Iterable[int]) -> None:
    print("| bars | cut | walk-forward (folds) | later | 95 % | difference | random rows |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    if path:
        real = labelled(_read(path), horizon_bars=20)
        for year in years:
            _print_forward(
                "real", year, before_and_after(real, test_size=after(real, year), horizon_bars=20)
            )
    strength = solved(trend_auc, PLANTED_AUC, low=0.0, high=0.3)
    planted = planted_trend(69, 3_349, strength=strength, seed=1)
    dataset = labelled(planted.bars, horizon_bars=20)
    for year in years:
        # Like the real bars, which begin in 2008 and end in April 2021.
        share = (2021.3 - year) / (2021.3 - 2008.0)
        forward = before_and_after(dataset, test_size=share, horizon_bars=20, planted=planted)
        _print_forward("planted 0.60", year, forward)


def _print_forward(name: str, year: int, forward: Forward) -> None:
    folds = " ".join(f"{fold:.3f}" for fold in forward.folds)
    truth = "" if forward.truth is None else f", true score {forward.truth:.4f}"
    print(
        f"| {name} | {year} | {forward.walk_forward:.4f} ({folds}) | {forward.later:.4f}{truth}"
        f" | {forward.low:.3f} to {forward.high:.3f} | {forward.walk_forward - forward.later:+.4f}"
        f" | {forward.random_rows:.4f} ({forward.random_rows - forward.later:+.4f}) |",
        flush=True,
    )


def _read(path: str) -> pl.DataFrame:
    bars = pl.read_parquet(path).select(BARS_SCHEMA.keys())
    return bars.cast(dict(BARS_SCHEMA)).sort("symbol", "timestamp")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("form", choices=["random", "planted", "later"])
    parser.add_argument("--short", action="store_true", help="a few trainings only")
    parser.add_argument("--trainings", type=int, help="200 random, 50 planted; short: 10 and 2")
    parser.add_argument("--horizons", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--seed", type=int, default=1_000, help="of the first training")
    parser.add_argument("--years", type=int, nargs="+", default=list(CUT_YEARS))
    parser.add_argument(
        "--bars", default=os.environ.get(BARS_VARIABLE), help=f"Parquet; else {BARS_VARIABLE}"
    )
    asked = parser.parse_args()
    if asked.form == "random":
        print_random(asked.trainings or (10 if asked.short else 200), asked.horizons, asked.seed)
    elif asked.form == "planted":
        print_planted(asked.trainings or (2 if asked.short else 50), asked.seed)
    else:
        print_later(asked.bars, asked.years[:1] if asked.short else asked.years)


if __name__ == "__main__":
    main()
