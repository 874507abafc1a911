"""Can the monitoring be believed? `python -m benchmarks.monitoring_power stationary`, or others.

stationary  false alarms at streams that don't change: of one look, and in a year of daily looks.
breaks      how soon a break is found, by daily looks at windows and by the sequential alarm.
skill       how often skill that stays is said to be lost, and how soon skill that is gone.

`--trials` says how many models are simulated; MLENGINE_BENCH_BARS names a parquet of real bars,
which the stream `real` draws blocks of sixty dates from.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl
from benchmarks.drift_trials import (
    LIVE,
    WINDOWS,
    Look,
    broken,
    first_alarm,
    first_found,
    first_frozen,
    one_look,
    stationary,
)
from benchmarks.market_streams import STREAMS, real_ratios
from benchmarks.skill_trials import World, trial

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.sequential import BLOCK_DATES

BARS_VARIABLE = "MLENGINE_BENCH_BARS"
WITHIN = (20, 60, 120)


def print_stationary(
    streams: Sequence[str], trials: int, first_seed: int, real: Floats | None
) -> None:
    """One look at the first window after training, by stream and window; then a year."""
    print(f"Streams that don't change, 12 symbols, ten years of training, {trials} trials")
    print("| stream | window | verdict | uncalibrated | PSI median, worst | KS median, worst |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in streams:
        looks, (years, still) = _looks(kind, trials, first_seed, real)
        for bars, look in looks.items():
            told = " | ".join(
                f"{np.median(share):.1%}, {share.max():.1%}" for share in (look.psi, look.ks)
            )
            name = f"{bars} bars, {WINDOWS[bars]} dates"
            shares = f"{look.alarms:.1%} | {look.uncalibrated:.1%}"
            print(f"| {kind} | {name} | {shares} | {told} |")
        print(f"| {kind} | a year of daily looks | {years:.1%} | | | |")
        print(f"| {kind} | a year, frozen features too | {still:.1%} | | | |", flush=True)


@dataclass(frozen=True)
class Looks:
    """Shares of trials: of alarms, of trials without a threshold, and of alarms a feature."""

    alarms: float
    uncalibrated: float
    psi: Floats
    ks: Floats


def _looks(
    kind: str, trials: int, first_seed: int, real: Floats | None
) -> tuple[dict[int, Looks], Floats]:
    """And the shares of years with an alarm: of the sequential one, and of either."""
    found: dict[int, list[Look]] = {bars: [] for bars in WINDOWS}
    years = []
    for seed in range(first_seed, first_seed + trials):
        reference, live = stationary(kind, seed, real)
        alarm, still = first_alarm(reference, live), first_frozen(reference, live)
        years.append([alarm <= LIVE, min(alarm, still) <= LIVE])
        for bars, dates in WINDOWS.items():
            found[bars].append(one_look(reference, live, dates))
    return {bars: _shares(looks) for bars, looks in found.items()}, np.mean(years, axis=0)


def _shares(looks: Sequence[Look]) -> Looks:
    return Looks(
        float(np.mean([look.alarm for look in looks])),
        float(np.mean([look.uncalibrated for look in looks])),
        np.mean([look.psi for look in looks], axis=0),
        np.mean([look.ks for look in looks], axis=0),
    )


def print_breaks(trials: int, first_seed: int) -> None:
    """Daily looks from the break on; windows by the threshold of one look."""
    found = _found(trials, first_seed)
    print(f"Daily looks after a break in GARCH bars, 12 symbols, {trials} trials: found within")
    print("| by | break | " + " | ".join(f"{dates} dates" for dates in WITHIN) + " | median |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (by, name), dates in found.items():
        shares = " | ".join(f"{np.mean(np.array(dates) <= within):.0%}" for within in WITHIN)
        print(f"| {by} | {name} | {shares} | {np.median(dates):.0f} |", flush=True)


def _found(trials: int, first_seed: int) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for seed in range(first_seed, first_seed + trials):
        reference, live, change = broken(seed)
        for bars, dates in WINDOWS.items():
            calibration = reference.calibrated(dates)
            for name, tallies in live.items():
                ends = np.arange(change + 1, len(tallies.dates) + 1)
                scores = reference.scores(tallies, ends, calibration)
                by = f"{bars} bars, {dates} dates"
                found[by, name].append(first_found(scores, calibration.threshold))
        # Blocks begin at any date as seen from a break.
        for name, tallies in live.items():
            shifted = reference.since(tallies, seed % BLOCK_DATES)
            first = change - seed % BLOCK_DATES
            found["sequential", name].append(first_alarm(reference, shifted, first=first))
            found["frozen features", name].append(first_frozen(reference, tallies, first=change))
    return found


def print_skill(trials: int, first_seed: int) -> None:
    """Five years each, of which the naive interval is looked at weekly.

    `one look at the end` is what no evidence can surpass: the share of trials in which the mean of
    five years lies further below the holdout's than in 95 % of those whose skill stays.
    """
    print(f"Five years, {trials} trials: `lost` is said, and the naive weekly interval's")
    print(
        "| AUC | h | symbols | stays: lost | naive | proven"
        " | gone: lost | median | naive | median | one look at the end |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for auc, steps, symbols in product((0.53, 0.55, 0.60), (1, 5), (4, 20)):
        world = World(auc, steps, symbols)
        stays, gone = (
            np.array([trial(world, first_seed + at, vanished=ends) for at in range(trials)])
            for ends in (False, True)
        )
        said = np.isfinite(stays).mean(axis=0)
        found, middle = np.isfinite(gone).mean(axis=0), np.median(gone, axis=0)
        possible = np.mean(gone[:, 3] > np.quantile(stays[:, 3], 0.95))
        print(
            f"| {auc:.2f} | {steps} | {symbols} | {said[0]:.1%} | {said[2]:.0%} | {said[1]:.0%}"
            f" | {found[0]:.0%} | {middle[0]:.0f} | {found[2]:.0%} | {middle[2]:.0f}"
            f" | {possible:.0%} |",
            flush=True,
        )


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("form", choices=("stationary", "breaks", "skill"))
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--streams", nargs="+", choices=STREAMS, default=["iid", "garch"])
    asked = parser.parse_args()
    if asked.form == "stationary":
        path = os.environ.get(BARS_VARIABLE)
        real = real_ratios(pl.read_parquet(path)) if path and "real" in asked.streams else None
        print_stationary(asked.streams, asked.trials, asked.seed, real)
    elif asked.form == "breaks":
        print_breaks(asked.trials, asked.seed)
    else:
        print_skill(asked.trials, asked.seed)


if __name__ == "__main__":
    main()
