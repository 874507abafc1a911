"""Do the numbers mean what they say? `python -m benchmarks.verdicts random`, or another form.

random     trainings on bars without an edge: how many get the verdict `edge`.
planted    trainings on bars whose next move can be forecast with an AUC of 0.60: what they find.
later      walk-forward AUC before seven cut years, against the AUC on everything after the cut, on
           real bars and on bars with a planted 0.60, with a split by random rows beside them.
intervals  how often the interval of a mean lies wholly on one side of the truth, by its blocks.

Every training is the platform's own, with its default recipe, on one thread. The full forms take
a core some minutes each; `--short` does a few trainings only.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from benchmarks.simulated import planted_trend, solved, trend_auc
from benchmarks.trainings import (
    PLANTED_AUC,
    Forward,
    after,
    before_and_after,
    labelled,
    on_planted_bars,
    on_random_bars,
)

from mlengine.core.bars.bars import BARS_SCHEMA
from mlengine.core.evaluation import Bootstrap
from mlengine.core.metrics import block_bootstrap
from mlengine.core.metrics.session_dates import DAY_MICROSECONDS

CUT_YEARS = tuple(range(2012, 2019))
BARS_VARIABLE = "MLENGINE_BENCH_BARS"


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


def print_later(path: str | None, years: Sequence[int]) -> None:
    print("| bars | cut | walk-forward (folds) | later | 95 % | difference | random rows |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    if path:
        real = labelled(_read(path), horizon_bars=20)
        for year in years:
            share = after(real, year)
            _print_forward("real", year, before_and_after(real, test_size=share, horizon_bars=20))
    for correlation in (0.0, 0.4):
        _print_planted(years, correlation)


def _print_planted(years: Iterable[int], correlation: float) -> None:
    """As many symbols and bars as the real ones, which go from 2008 to April 2021."""
    strength = solved(trend_auc, PLANTED_AUC, low=0.0, high=0.3)
    planted = planted_trend(69, 3_349, strength=strength, seed=1, correlation=correlation)
    dataset = labelled(planted.bars, horizon_bars=20)
    for year in years:
        share = (2021.3 - year) / (2021.3 - 2008.0)
        forward = before_and_after(dataset, test_size=share, horizon_bars=20, planted=planted)
        _print_forward(f"planted 0.60, correlated {correlation}", year, forward)


def print_intervals(simulations: int, horizons: Sequence[int], seed: int) -> None:
    print("| h | blocks | dates | above the truth | below |\n| --- | --- | --- | --- | --- |")
    for horizon in horizons:
        for blocks in (5, 7, 10, 25):
            dates = blocks * _bootstrap(1, horizon, seed=0).block_dates
            above, below = _missed(simulations, dates, horizon, np.random.default_rng(seed))
            print(f"| {horizon} | {blocks} | {dates} | {above:.1%} | {below:.1%} |", flush=True)


def _missed(
    simulations: int, dates: int, horizon_bars: int, rng: np.random.Generator
) -> tuple[float, float]:
    """A slow sign times an overlapping sum of moves, whose mean is 0: a forecast without skill."""
    above = below = 0
    for seed in range(simulations):
        moves, slow = rng.normal(size=dates + horizon_bars - 1), rng.normal(size=dates + 19)
        ahead = np.convolve(moves, np.ones(horizon_bars), "valid")
        earned = ahead * np.sign(np.convolve(slow, np.ones(20), "valid"))
        days = np.arange(dates) * DAY_MICROSECONDS
        drawn = block_bootstrap.draw_blocks(days, _bootstrap(dates, horizon_bars, seed=seed))
        means = block_bootstrap.weighted_sums(drawn.weights, earned) / dates
        low, high = drawn.interval(float(earned.mean()), means)
        assert low is not None
        assert high is not None
        above, below = above + (low > 0.0), below + (high < 0.0)
    return above / simulations, below / simulations


def _bootstrap(dates: int, horizon_bars: int, *, seed: int) -> Bootstrap:
    return block_bootstrap.block_bootstrap_config(dates, label_span_dates=horizon_bars, seed=seed)


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
    parser.add_argument("form", choices=["random", "planted", "later", "intervals"])
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
    elif asked.form == "intervals":
        print_intervals(20 if asked.short else 600, asked.horizons, asked.seed)
    else:
        print_later(asked.bars, asked.years[:1] if asked.short else asked.years)


if __name__ == "__main__":
    main()
