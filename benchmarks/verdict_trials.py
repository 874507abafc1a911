"""How often training says too much: `python -m benchmarks.verdict_trials null`, or another form.

null      trainings on panels without skill, of four kinds: `edge`, `worse`, and how often the gate
          promotes an equal model (the same recipe with another seed).
coverage  how often the interval holds the AUC that a trained model has on far more dates after it.
recipes   sixteen recipes without skill on one holdout: how often any of them is given an edge.
power     how often a planted skill is found, by its AUC.

Datasets, cuts, fits, scores, intervals, verdict and test are the platform's own; features are few,
trees too. One row a cell, as soon as it is done; the count and the 95 % interval of each share
stand beside it. `--trials` defaults to 300 of null, 200 of coverage, 100 of others; with `--log`
a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from benchmarks.null_panels import (
    NULL_PANELS,
    SHOCK,
    bars_of,
    clustered,
    null_panel,
    planted,
    real_moves,
)
from benchmarks.small_trainings import build, judge, promoted, train, truth
from benchmarks.trial_log import Result, TrialLog, add_options, share

from mlengine.core.arrays import Floats

DATES, LATER, RECIPES = 2_520, 8_000, 16
BARS = (("Gaussian", 0.0), ("t3-GARCH", SHOCK))
BARS_VARIABLE = "MLENGINE_BENCH_BARS"


def print_null(
    log: TrialLog, seeds: range, horizons: Sequence[int], kinds: Sequence[str], real: Floats | None
) -> None:
    print("| panel | h | edge | worse | gate | mean AUC |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, horizon in product(kinds, horizons):
        trial = partial(_null, kind=kind, horizon=horizon, real=real)
        found = log.results(f"null {kind} {horizon}", seeds, trial)
        words = Counter(each["word"] for each in found)
        counts = words["edge"], words["worse"], sum(each["gate"] for each in found)
        told = " | ".join(share(count, len(found)) for count in counts)
        auc = np.mean([each["auc"] for each in found])
        print(f"| {kind} | {horizon} | {told} | {auc:.4f} |", flush=True)


def _null(seed: int, *, kind: str, horizon: int, real: Floats | None) -> Result:
    data = build(null_panel(kind, DATES, seed=seed, real=real), horizon)
    champion, challenger = train(data, seed=1), train(data, seed=2)
    found = judge(challenger)
    gate, p_value = promoted(champion, challenger)
    return {"word": found.word, "gate": gate, "p_value": p_value, "auc": found.value}


def print_coverage(log: TrialLog, seeds: range) -> None:
    print("| bars | planted | h | held | above | below | long-run AUC | width |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    cells = ((1, 0.0), (1, 0.15), (5, 0.15))
    for (name, shock), (horizon, strength) in product(BARS, cells):
        trial = partial(_with_later, shock=shock, horizon=horizon, strength=strength)
        found = log.results(f"coverage {name} {horizon} {strength}", seeds, trial)
        above = sum(each["low"] > each["later"] for each in found)
        below = sum(each["high"] < each["later"] for each in found)
        later = np.mean([each["later"] for each in found])
        width = np.mean([each["high"] - each["low"] for each in found])
        print(
            f"| {name} | {strength} | {horizon} | {share(len(found) - above - below, len(found))}"
            f" | {above} | {below} | {later:.4f} | {width:.4f} |",
            flush=True,
        )


def _with_later(seed: int, *, shock: float, horizon: int, strength: float) -> Result:
    """One training, and the AUC of its model on what comes after all that it saw."""
    rng = np.random.default_rng(seed)
    moves = planted(rng, clustered(rng, DATES + LATER, shock=shock), strength=strength)
    trained = train(build(bars_of(moves[:DATES], rng), horizon), seed=1)
    found = judge(trained)
    later = truth(trained, build(bars_of(moves[DATES:], rng), horizon))
    return {"low": found.low, "high": found.high, "later": later}


def print_recipes(log: TrialLog, seeds: range) -> None:
    print("| recipes each | some edge | some edge at 95 % each |")
    print("| --- | --- | --- |")
    found = log.results("recipes", seeds, _recipes)
    some, naive = (sum(each[name] for each in found) for name in ("some", "naive"))
    print(f"| {RECIPES} | {share(some, len(found))} | {share(naive, len(found))} |")


def _recipes(seed: int) -> Result:
    """Horizons, seeds, windows and depths, as someone tries them who looks for an edge."""
    bars = null_panel("t3-garch", DATES, seed=seed)
    datasets = {horizon: build(bars, horizon) for horizon in (1, 2, 5, 10)}
    found = []
    for number in range(RECIPES):
        data = datasets[(1, 2, 5, 10)[number % 4]]
        leaves = (3, 7, 15, 31)[number // 4]
        found.append(judge(train(data, seed=number, num_leaves=leaves), recipes=number + 1))
    return {
        "some": any(each.word == "edge" for each in found),
        "naive": any(each.low > 0.5 for each in found),
    }


def print_power(log: TrialLog, seeds: range) -> None:
    print("| planted | h | long-run AUC | edge |")
    print("| --- | --- | --- | --- |")
    for horizon, strength in ((1, 0.03), (1, 0.05), (1, 0.1), (5, 0.1), (5, 0.2)):
        trial = partial(_powerful, horizon=horizon, strength=strength)
        found = log.results(f"power {horizon} {strength}", seeds, trial)
        edges = sum(each["edge"] for each in found)
        auc = np.mean([each["auc"] for each in found])
        print(f"| {strength} | {horizon} | {auc:.4f} | {share(edges, len(found))} |", flush=True)


def _powerful(seed: int, *, horizon: int, strength: float) -> Result:
    rng = np.random.default_rng(seed)
    moves = planted(rng, clustered(rng, DATES), strength=strength)
    found = judge(train(build(bars_of(moves, rng), horizon), seed=1))
    return {"edge": found.word == "edge", "auc": found.value}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("form", choices=["null", "coverage", "recipes", "power"])
    add_options(parser)
    parser.add_argument("--horizons", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--panels", nargs="+", choices=NULL_PANELS, default=list(NULL_PANELS))
    parser.add_argument(
        "--bars", default=os.environ.get(BARS_VARIABLE), help=f"Parquet; else {BARS_VARIABLE}"
    )
    asked = parser.parse_args()
    trials = asked.trials or {"null": 300, "coverage": 200}.get(asked.form, 100)
    seeds, log = range(asked.seed, asked.seed + trials), TrialLog.at(asked.log)
    if asked.form == "null":
        kinds = [kind for kind in asked.panels if kind != "real dates" or asked.bars]
        real = real_moves(Path(asked.bars)) if asked.bars else None
        print_null(log, seeds, asked.horizons, kinds, real)
    elif asked.form == "coverage":
        print_coverage(log, seeds)
    elif asked.form == "recipes":
        print_recipes(log, seeds)
    else:
        print_power(log, seeds)


if __name__ == "__main__":
    main()
