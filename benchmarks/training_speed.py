"""What one dataset for all folds saves: `python -m benchmarks.training_speed BARS.parquet`.

Five purged walk-forward folds of 100 rounds with 63 leaves on `alpha158`, binned in three ways:

- shared: one dataset, of which every fold takes a part;
- rebuilt: a dataset for every fold by the same bin edges, from rows copied out of one array;
- in place: rebuilt likewise, but read from the frame of features without a copy.

Each in processes of its own and in turns, so that the peak memory is its own (bars, features and
the interpreter included). The path may also stand in BENCHMARK_BARS. Trainings use one thread,
and so does this unless told otherwise. On a busy machine the best of the turns and CPU seconds say
more than seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import lightgbm
import polars as pl

from mlengine.core.arrays import Indices
from mlengine.core.boosting import model
from mlengine.core.boosting.binning import BinnedRows, LabelledRows, SharedBins
from mlengine.core.boosting.model import DEFAULT_PARAMS, LightGBMConfig
from mlengine.core.features import ALPHA158
from mlengine.core.training import dataset as datasets
from mlengine.core.training.dataset import Dataset
from mlengine.core.training.row_plan import RowPlan, plan_rows, rows_used_by_folds
from mlengine.core.training.spec import TrainSpec

TURNS = 3
SPEC = TrainSpec(
    symbols=(),
    lookback=0,
    test_size=0.2,
    seed=42,
    folds=5,
    horizon_bars=5,
    embargo_bars=0,
    objective="direction",
    feature_set="alpha158",
    activate="never",
    refit="none",
    label_delay_bars=0,
    interval="1d",
    rounds=100,
)


def recipe(threads: int) -> LightGBMConfig:
    """All rounds are used: nothing stops them."""
    params = {**DEFAULT_PARAMS, "num_leaves": 63}
    return LightGBMConfig(SPEC.objective, SPEC.seed, threads, SPEC.rounds, SPEC.rounds, params)


def sample(dataset: Dataset, rows: Indices) -> LabelledRows:
    return LabelledRows(dataset.features(rows), dataset.column("label")[rows])


def shared(dataset: Dataset, plan: RowPlan, how: LightGBMConfig) -> list[str]:
    """As trainings do it: one dataset, and a part of it for every fold."""
    bins = SharedBins.of(
        how.lightgbm_params(),
        names=dataset.feature_names,
        edges=sample(dataset, plan.folds[0].fit),
        rows=sample(dataset, rows_used_by_folds(plan)),
    )
    return [
        model.fit_binned(how, bins.subset(one.fit, one.early_stop)).fingerprint
        for one in plan.folds
    ]


def rebuilt(dataset: Dataset, plan: RowPlan, how: LightGBMConfig) -> list[str]:
    """A dataset for every fold, from copies of its rows."""
    features, labels = dataset.matrix(), dataset.column("label")
    return _rebuilt(dataset, plan, how, lambda rows: LabelledRows(features[rows], labels[rows]))


def in_place(dataset: Dataset, plan: RowPlan, how: LightGBMConfig) -> list[str]:
    """A dataset for every fold, from the frame."""
    return _rebuilt(dataset, plan, how, lambda rows: sample(dataset, rows))


def _rebuilt(
    dataset: Dataset, plan: RowPlan, how: LightGBMConfig, take: Callable[[Indices], LabelledRows]
) -> list[str]:
    names, params = dataset.feature_names, how.lightgbm_params()
    edges = BinnedRows.of(params, names=names, train=take(plan.folds[0].fit), early_stop=None).train

    def binned(rows: Indices) -> lightgbm.Dataset:
        part = take(rows)
        made = edges.create_valid(part.features, part.labels, params=dict(params))
        return made.construct()

    return [
        model.fit_binned(
            how, BinnedRows(names, binned(one.fit), binned(one.early_stop))
        ).fingerprint
        for one in plan.folds
    ]


WAYS: dict[str, Callable[[Dataset, RowPlan, LightGBMConfig], list[str]]] = {
    "shared": shared,
    "rebuilt": rebuilt,
    "in place": in_place,
}


def measure(way: str, bars: str, threads: int) -> dict[str, object]:
    """Seconds of the folds alone, their trees, and the peak memory of this process."""
    dataset = datasets.build(
        pl.read_parquet(bars), ALPHA158, horizon_bars=SPEC.horizon_bars, objective=SPEC.objective
    )
    plan = plan_rows(dataset, SPEC)
    wall, cpu = time.perf_counter(), time.process_time()
    trees = WAYS[way](dataset, plan, recipe(threads))
    return {
        "seconds": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "trees": trees,
        "rows": dataset.frame.height,
        "symbols": dataset.frame["symbol"].n_unique(),
    }


def in_a_process_of_its_own(way: str, bars: str, threads: int) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.training_speed", bars]
    command += ["--one", way, "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def best(turns: Sequence[dict[str, object]], what: str) -> float:
    return min(float(turn[what]) for turn in turns)  # type: ignore[arg-type]


def report(found: dict[str, list[dict[str, object]]]) -> None:
    first = found["shared"][0]
    print(f"{first['symbols']} symbols, {first['rows']:,} rows, {len(ALPHA158.names)} features")
    print("| dataset | seconds, best (all) | CPU seconds, best | peak memory |")
    print("| --- | --- | --- | --- |")
    for way, turns in found.items():
        every = ", ".join(f"{turn['seconds']:.1f}" for turn in turns)
        print(
            f"| {way} | {best(turns, 'seconds'):.1f} ({every}) | {best(turns, 'cpu'):.1f}"
            f" | {max(float(turn['gigabytes']) for turn in turns):.2f} GB |"  # type: ignore[arg-type]
        )
    trees = {tuple(turn["trees"]) for turns in found.values() for turn in turns}  # type: ignore[arg-type]
    for way in ("rebuilt", "in place"):
        wall, cpu = (best(found[way], w) / best(found["shared"], w) for w in ("seconds", "cpu"))
        print(f"shared is {wall:.2f} times as fast as {way} ({cpu:.2f} by CPU seconds)")
    print("the same trees in every fold" if len(trees) == 1 else "OTHER TREES")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bars", nargs="?", default=os.environ.get("BENCHMARK_BARS"))
    parser.add_argument("--one", choices=WAYS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=TURNS)
    asked = parser.parse_args()
    if not asked.bars:
        parser.error("name a Parquet file of bars, here or in BENCHMARK_BARS")
    if asked.one:
        print(json.dumps(measure(asked.one, asked.bars, asked.threads)))
        return
    print(f"LightGBM {lightgbm.__version__}, {asked.threads} threads")
    found: dict[str, list[dict[str, object]]] = {way: [] for way in WAYS}
    for _ in range(asked.turns):
        for way, turns in found.items():
            turns.append(in_a_process_of_its_own(way, asked.bars, asked.threads))
    report(found)


if __name__ == "__main__":
    main()
