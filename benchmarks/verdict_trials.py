"""How often training says too much: `python -m benchmarks.verdict_trials null`, or another form.

null      trainings on panels without skill, of four kinds: `edge`, `worse`, and how often the gate
          promotes an equal model (the same recipe with another seed).
coverage  how often the interval holds the AUC that a trained model has on far more dates after it.
recipes   sixteen recipes without skill on one holdout: how often any of them is given an edge.
power     how often a planted skill is found, by its AUC.

Datasets, cuts, fits, scores, intervals, verdict and test are the platform's own; features are few,
trees too. One row a cell, as soon as it is done; a count stands beside each share.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
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
from benchmarks.small_trainings import Judged, build, judge, promoted, train, truth

from mlengine.core.arrays import Floats

DATES, LATER, RECIPES = 2_520, 8_000, 16
BARS_VARIABLE = "MLENGINE_BENCH_BARS"


def print_null(
    seeds: range, horizons: Sequence[int], kinds: Sequence[str], real: Floats | None
) -> None:
    trials = len(seeds)
    print("| panel | h | trainings | edge | worse | gate | mean AUC | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind in kinds:
        for horizon in horizons:
            started, words, gate, aucs = time.process_time(), Counter[str](), 0, []
            for seed in seeds:
                data = build(null_panel(kind, DATES, seed=seed, real=real), horizon)
                champion, challenger = train(data, seed=1), train(data, seed=2)
                found = judge(challenger)
                words[found.word] += 1
                gate += promoted(champion, challenger)
                aucs.append(found.value)
            print(
                f"| {kind} | {horizon} | {trials} | {_share(words['edge'], trials)}"
                f" | {_share(words['worse'], trials)} | {_share(gate, trials)}"
                f" | {np.mean(aucs):.4f} | {time.process_time() - started:.0f} |",
                flush=True,
            )


def print_coverage(trials: int, first_seed: int) -> None:
    print(
        "| bars | planted | h | trainings | held | above | below | long-run AUC | width | seconds |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, shock in (("Gaussian", 0.0), ("t3-GARCH", SHOCK)):
        for horizon, strength in ((1, 0.0), (1, 0.15), (5, 0.15)):
            started, above, below = time.process_time(), 0, 0
            widths, truths = [], []
            for seed in range(first_seed, first_seed + trials):
                found, later = _with_later(seed, shock, horizon, strength)
                above, below = above + (found.low > later), below + (found.high < later)
                widths.append(found.high - found.low)
                truths.append(later)
            held = trials - above - below
            print(
                f"| {name} | {strength} | {horizon} | {trials} | {_share(held, trials)} | {above}"
                f" | {below} | {np.mean(truths):.4f} | {np.mean(widths):.4f}"
                f" | {time.process_time() - started:.0f} |",
                flush=True,
            )


def _with_later(seed: int, shock: float, horizon: int, strength: float) -> tuple[Judged, float]:
    """One training, and the AUC of its model on what comes after all that it saw."""
    rng = np.random.default_rng(seed)
    moves = planted(rng, clustered(rng, DATES + LATER, shock=shock), strength=strength)
    trained = train(build(bars_of(moves[:DATES], rng), horizon), seed=1)
    return judge(trained), truth(trained, build(bars_of(moves[DATES:], rng), horizon))


def print_recipes(panels: int, first_seed: int) -> None:
    print("| panels | recipes each | some edge | some edge at 95 % each | seconds |")
    print("| --- | --- | --- | --- | --- |")
    started, some, naive = time.process_time(), 0, 0
    for seed in range(first_seed, first_seed + panels):
        found = list(_recipes(seed))
        some += any(each.word == "edge" for each in found)
        naive += any(each.low > 0.5 for each in found)
    print(
        f"| {panels} | {RECIPES} | {_share(some, panels)} | {_share(naive, panels)}"
        f" | {time.process_time() - started:.0f} |"
    )


def _recipes(seed: int) -> Iterator[Judged]:
    """Horizons, seeds, windows and depths, as someone tries them who looks for an edge."""
    bars = null_panel("t3-garch", DATES, seed=seed)
    for number in range(RECIPES):
        data = build(bars, (1, 2, 5, 10)[number % 4])
        leaves = (3, 7, 15, 31)[number // 4]
        yield judge(train(data, seed=number, num_leaves=leaves), recipes=number + 1)


def print_power(trials: int, first_seed: int) -> None:
    print("| planted | h | trainings | long-run AUC | edge | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for horizon, strength in ((1, 0.03), (1, 0.05), (1, 0.1), (5, 0.1), (5, 0.2)):
        started, edges, aucs = time.process_time(), 0, []
        for seed in range(first_seed, first_seed + trials):
            rng = np.random.default_rng(seed)
            moves = planted(rng, clustered(rng, DATES), strength=strength)
            found = judge(train(build(bars_of(moves, rng), horizon), seed=1))
            edges += found.word == "edge"
            aucs.append(found.value)
        print(
            f"| {strength} | {horizon} | {trials} | {np.mean(aucs):.4f} | {_share(edges, trials)}"
            f" | {time.process_time() - started:.0f} |",
            flush=True,
        )


def _share(count: int, of: int) -> str:
    return f"{count / of:.1%} ({count})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("form", choices=["null", "coverage", "recipes", "power"])
    parser.add_argument("--trials", type=int, help="null 300, coverage 200, others 100")
    parser.add_argument("--seed", type=int, default=1, help="of the first trial")
    parser.add_argument("--horizons", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--panels", nargs="+", choices=NULL_PANELS, default=list(NULL_PANELS))
    parser.add_argument(
        "--bars", default=os.environ.get(BARS_VARIABLE), help=f"Parquet; else {BARS_VARIABLE}"
    )
    asked = parser.parse_args()
    trials = asked.trials or {"null": 300, "coverage": 200}.get(asked.form, 100)
    if asked.form == "null":
        kinds = [kind for kind in asked.panels if kind != "real dates" or asked.bars]
        real = real_moves(Path(asked.bars)) if asked.bars else None
        print_null(range(asked.seed, asked.seed + trials), asked.horizons, kinds, real)
    elif asked.form == "coverage":
        print_coverage(trials, asked.seed)
    elif asked.form == "recipes":
        print_recipes(trials, asked.seed)
    else:
        print_power(trials, asked.seed)


if __name__ == "__main__":
    main()
