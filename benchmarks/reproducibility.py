"""Whether a training can be made again: `python -m benchmarks.reproducibility [BARS.parquet]`.

The same recipe 20 times, each in a fresh process, on 1, 2 and 4 threads in turn: folds, candidate
and refit of both objectives, and a fit on ill-scaled columns and labels (24 orders of magnitude),
where sums in another order would show. Prints how many fingerprints there are. Without a file the
bars are generated.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import subprocess
import sys
from collections import Counter

import lightgbm
import numpy as np
import polars as pl
from benchmarks.features import generated_bars

from mlengine.core.boosting import model
from mlengine.core.boosting.binning import LabelledRows
from mlengine.core.boosting.model import DEFAULT_PARAMS, LightGBMConfig
from mlengine.core.features import CORE
from mlengine.core.runs.progress import ProgressTracker, ignore_progress
from mlengine.core.training import dataset as datasets
from mlengine.core.training import experiment
from mlengine.core.training.row_plan import plan_rows
from mlengine.core.training.spec import TrainSpec

RUNS = 20
THREADS = (1, 2, 4)
SPEC = TrainSpec(
    symbols=(),
    lookback=0,
    test_size=0.2,
    seed=42,
    folds=3,
    horizon_bars=5,
    embargo_bars=0,
    objective="direction",
    feature_set="core",
    activate="never",
    refit="full",
    label_delay_bars=0,
    interval="1d",
    rounds=40,
)


def training(bars: pl.DataFrame, objective: str, threads: int) -> str:
    """One fingerprint of all models of a training."""
    spec = dataclasses.replace(SPEC, objective=objective)
    dataset = datasets.build(bars, CORE, horizon_bars=spec.horizon_bars, objective=objective)
    recipe = LightGBMConfig(objective, spec.seed, threads, rounds=spec.rounds)
    made = experiment.run(
        dataset,
        plan_rows(dataset, spec),
        recipe,
        spec=spec,
        refit=True,
        tracker=ProgressTracker(ignore_progress),
    )
    fitted = [*(fold.fitted for fold in made.folds), made.candidate.fitted, made.refit]
    joined = "".join(one.fingerprint for one in fitted if one)
    return hashlib.sha256(joined.encode()).hexdigest()


def ill_scaled(threads: int) -> str:
    """Columns from 1e-12 to 1e12, labels over as many orders of magnitude."""
    rng = np.random.default_rng(7)
    features = rng.normal(size=(30_000, 30)) * 10.0 ** rng.integers(-12, 13, 30)
    signs = np.sign(features[:, 0] / np.abs(features[:, 0]).max() + rng.normal(0.0, 0.3, 30_000))
    labels = np.exp(rng.normal(0.0, 6.0, 30_000)) * signs
    params = {**DEFAULT_PARAMS, "num_leaves": 63, "min_data_in_leaf": 20}
    recipe = LightGBMConfig("return", 42, threads, rounds=20, params=params)
    names = tuple(f"f{i}" for i in range(30))
    return model.fit(
        recipe, names=names, train=LabelledRows(features, labels), early_stop=None
    ).fingerprint


def fingerprints(path: str | None, threads: int) -> dict[str, str]:
    bars = pl.read_parquet(path) if path else generated_bars(10, 1_000)
    return {
        "direction": training(bars, "direction", threads),
        "return": training(bars, "return", threads),
        "ill-scaled": ill_scaled(threads),
    }


def in_a_process_of_its_own(path: str | None, threads: int) -> dict[str, str]:
    command = [sys.executable, "-m", "benchmarks.reproducibility", *([path] if path else [])]
    done = subprocess.run(
        [*command, "--one", str(threads)], capture_output=True, text=True, check=True
    )
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bars", nargs="?")
    parser.add_argument("--one", type=int, metavar="THREADS")
    parser.add_argument("--runs", type=int, default=RUNS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(fingerprints(asked.bars, asked.one)))
        return
    turns = [THREADS[number % len(THREADS)] for number in range(asked.runs)]
    found = [in_a_process_of_its_own(asked.bars, threads) for threads in turns]
    print(f"LightGBM {lightgbm.__version__}, Polars {pl.__version__}")
    counts = ", ".join(f"{many} on {threads}" for threads, many in sorted(Counter(turns).items()))
    print(f"{len(found)} runs in fresh processes, threads: {counts}")
    for what in found[0]:
        seen = Counter(one[what] for one in found)
        print(f"{what}: {len(seen)} fingerprint in {len(found)} runs ({min(seen)[:16]})")
    if any(len({one[what] for one in found}) > 1 for what in found[0]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
