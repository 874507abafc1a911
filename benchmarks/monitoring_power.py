"""Can the monitoring be believed? `python -m benchmarks.monitoring_power drift`, or another form.

drift      false alarms of one look at streams that don't change, and how soon breaks are found.
distances  what four distances of 158 features cost, first and from stored rows.

`--trials` says how many models are simulated; MLENGINE_BENCH_BARS names a parquet of real bars.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from benchmarks.drift_trials import (
    BREAKS,
    WINDOWS,
    Look,
    broken,
    first_found,
    one_look,
    stationary,
)
from benchmarks.market_streams import real_ratios

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.drift.distances import SortedSample, distances, sort_columns
from mlengine.core.monitoring.drift.evidently import evidently_scores
from mlengine.core.monitoring.reference import sketch

BARS_VARIABLE = "MLENGINE_BENCH_BARS"
WITHIN = (20, 60, 120)


def print_false_alarms(trials: int, first_seed: int, real: Floats | None) -> None:
    """One look at the first window after training, by stream and window."""
    print(f"One look at a stream that doesn't change, 12 symbols, {trials} trials")
    print("| stream | window | verdict | uncalibrated | PSI median, worst | KS median, worst |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in ("iid", "garch", *(("real",) if real is not None else ())):
        for bars, look in _looks(kind, trials, first_seed, real).items():
            told = " | ".join(
                f"{np.median(share):.1%}, {share.max():.1%}" for share in (look.psi, look.ks)
            )
            name = f"{bars} bars, {WINDOWS[bars]} dates"
            shares = f"{look.alarms:.1%} | {look.uncalibrated:.1%}"
            print(f"| {kind} | {name} | {shares} | {told} |", flush=True)


@dataclass(frozen=True)
class Looks:
    """Shares of trials: of alarms, of trials without a threshold, and of alarms a feature."""

    alarms: float
    uncalibrated: float
    psi: Floats
    ks: Floats


def _looks(kind: str, trials: int, first_seed: int, real: Floats | None) -> dict[int, Looks]:
    found: dict[int, list[Look]] = {bars: [] for bars in WINDOWS}
    for seed in range(first_seed, first_seed + trials):
        reference, live = stationary(kind, seed, real)
        for bars, dates in WINDOWS.items():
            found[bars].append(one_look(reference, live, dates))
    return {
        bars: Looks(
            float(np.mean([look.alarm for look in looks])),
            float(np.mean([look.uncalibrated for look in looks])),
            np.mean([look.psi for look in looks], axis=0),
            np.mean([look.ks for look in looks], axis=0),
        )
        for bars, looks in found.items()
    }


def print_breaks(trials: int, first_seed: int) -> None:
    """Daily looks from the break on, each by the threshold of one look."""
    found = _found(trials, first_seed)
    print(f"\nDaily looks after a break in GARCH bars, 12 symbols, {trials} trials: found within")
    print("| window | break | " + " | ".join(f"{dates} dates" for dates in WITHIN) + " | median |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (bars, name), dates in found.items():
        shares = " | ".join(f"{np.mean(dates <= within):.0%}" for within in WITHIN)
        print(f"| {bars} bars | {name} | {shares} | {np.median(dates):.0f} |", flush=True)


def _found(trials: int, first_seed: int) -> dict[tuple[int, str], Floats]:
    found: dict[tuple[int, str], list[float]] = {(b, n): [] for b in WINDOWS for n in BREAKS}
    for seed in range(first_seed, first_seed + trials):
        reference, live, change = broken(seed)
        for bars, dates in WINDOWS.items():
            calibration = reference.calibrated(dates)
            for name, tallies in live.items():
                ends = np.arange(change + 1, len(tallies.dates) + 1)
                scores = reference.scores(tallies, ends, calibration)
                found[bars, name].append(first_found(scores, calibration.threshold))
    return {key: np.array(each) for key, each in found.items()}


def print_distances(features: int = 158, reference: int = 250_000, live: int = 40_000) -> None:
    """CPU seconds, the least of three."""
    rng = np.random.default_rng(0)
    trained, window = rng.standard_t(3, (reference, features)), rng.standard_t(3, (live, features))
    frame = sketch(pl.DataFrame(trained))
    kept = sort_columns(frame.drop("rows_behind").to_numpy())
    full = sort_columns(trained)
    print(f"{features} features, {reference:,} and {live:,} rows, CPU seconds, least of three")
    print(f"first, rows sorted too  {_least(lambda: _all(sort_columns(trained), window)):.2f}")
    print(f"stored sorted rows      {_least(lambda: _all(full, window)):.2f}")
    print(f"stored sketch           {_least(lambda: _all(kept, window)):.2f}")
    again = _least(
        lambda: [evidently_scores(*pair) for pair in zip(full, sort_columns(window), strict=True)]
    )
    print(f"`evidently` scores      {again:.2f}")


def _all(reference: Sequence[SortedSample], window: Floats) -> None:
    for pair in zip(reference, sort_columns(window), strict=True):
        distances(*pair)


def _least(of: Callable[[], object]) -> float:
    seconds = []
    for _ in range(3):
        started = time.process_time()
        of()
        seconds.append(time.process_time() - started)
    return min(seconds)


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("form", choices=("drift", "distances"))
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    path = os.environ.get(BARS_VARIABLE)
    if asked.form == "distances":
        print_distances()
        return
    real = real_ratios(pl.read_parquet(path)) if path else None
    print_false_alarms(asked.trials, asked.seed, real)
    print_breaks(max(asked.trials // 2, 1), asked.seed)


if __name__ == "__main__":
    main()
