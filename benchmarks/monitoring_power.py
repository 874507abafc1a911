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
from functools import partial
from itertools import product
from typing import TypeAlias

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
from benchmarks.market_streams import FEATURES, STREAMS, real_ratios
from benchmarks.skill_trials import World, trial
from benchmarks.trial_log import Result, TrialLog, add_options, share

from mlengine.core.arrays import Floats
from mlengine.core.monitoring.sequential import BLOCK_DATES

BARS_VARIABLE = "MLENGINE_BENCH_BARS"
WITHIN = (20, 60, 120)
Ratios: TypeAlias = Floats | None


def print_stationary(log: TrialLog, streams: Sequence[str], seeds: range, real: Ratios) -> None:
    """One look at the first window after training, by stream and window; then a year."""
    print("Streams that don't change, 12 symbols, ten years of training")
    print("| stream | window | verdict | uncalibrated | PSI median, worst | KS median, worst |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in streams:
        found = log.results(f"stationary {kind}", seeds, partial(_looks, kind=kind, real=real))
        for bars, dates in WINDOWS.items():
            looks = [each["looks"][str(bars)] for each in found]
            shares = " | ".join(_share_of(looks, name) for name in ("alarm", "uncalibrated"))
            told = " | ".join(_median_and_worst(looks, name) for name in ("psi", "ks"))
            print(f"| {kind} | {bars} bars, {dates} dates | {shares} | {told} |")
        print(f"| {kind} | a year of daily looks | {_share_of(found, 'year')} | | | |")
        years = _share_of(found, "year_or_frozen")
        print(f"| {kind} | a year, frozen features too | {years} | | | |", flush=True)


def _looks(seed: int, *, kind: str, real: Ratios) -> Result:
    reference, live = stationary(kind, seed, real)
    alarm, still = first_alarm(reference, live), first_frozen(reference, live)
    looks = {bars: one_look(reference, live, dates) for bars, dates in WINDOWS.items()}
    return {
        "year": alarm <= LIVE,
        "year_or_frozen": min(alarm, still) <= LIVE,
        "looks": {str(bars): _kept(look) for bars, look in looks.items()},
    }


def _kept(look: Look) -> Result:
    """`psi` and `ks` are the positions of the features that pass their threshold."""
    passed = {name: np.flatnonzero(getattr(look, name)).tolist() for name in ("psi", "ks")}
    return {"alarm": look.alarm, "uncalibrated": look.uncalibrated, **passed}


def _share_of(found: Sequence[Result], name: str) -> str:
    return share(sum(each[name] for each in found), len(found))


def _median_and_worst(looks: Sequence[Result], name: str) -> str:
    """Of the shares of trials in which each feature passes its threshold."""
    passed = np.zeros(len(FEATURES))
    for look in looks:
        passed[look[name]] += 1.0 / len(looks)
    return f"{np.median(passed):.1%}, {passed.max():.1%}"


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


def print_skill(log: TrialLog, seeds: range, objective: str, wander: float) -> None:
    """Five years each, of which the naive interval is looked at weekly.

    `one look at the end` is what no evidence can surpass: the share of trials in which the mean of
    five years lies further below that of training than in 95 % of those whose skill stays.
    """
    print(f"Five years, `{objective}`: `lost` is said, and the naive weekly interval's")
    print(
        "| AUC | h | symbols | stays: lost | naive | proven"
        " | gone: lost | median | naive | median | one look at the end |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for auc, steps, symbols in product((0.53, 0.55, 0.60), (1, 5), (4, 20)):
        cell = partial(_skill, world=World(auc, steps, symbols, objective, wander))
        name = f"skill {objective} {auc} {steps} {symbols}{f' {wander}' if wander else ''}"
        results = log.results(name, seeds, cell)
        stays, gone = (np.array([each[name] for each in results]) for name in ("stays", "gone"))
        said, trials = np.isfinite(stays).mean(axis=0), len(results)
        lost, found_lost = (share(int(np.isfinite(x[:, 0]).sum()), trials) for x in (stays, gone))
        found, middle = np.isfinite(gone).mean(axis=0), np.median(gone, axis=0)
        possible = np.mean(gone[:, 3] > np.quantile(stays[:, 3], 0.95))
        print(
            f"| {auc:.2f} | {steps} | {symbols} | {lost} | {said[2]:.0%} | {said[1]:.0%}"
            f" | {found_lost} | {middle[0]:.0f} | {found[2]:.0%} | {middle[2]:.0f}"
            f" | {possible:.0%} |",
            flush=True,
        )


def _skill(seed: int, *, world: World) -> Result:
    return {
        name: trial(world, seed, vanished=vanished)
        for name, vanished in (("stays", False), ("gone", True))
    }


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("form", choices=("stationary", "breaks", "skill"))
    add_options(parser)
    parser.add_argument("--streams", nargs="+", choices=STREAMS, default=["iid", "garch"])
    parser.add_argument("--objective", choices=("direction", "return"), default="direction")
    parser.add_argument("--wander", type=float, default=0.0, help="of skill that comes and goes")
    asked = parser.parse_args()
    log, trials = TrialLog.at(asked.log), asked.trials or {"skill": 300}.get(asked.form, 500)
    if asked.form == "stationary":
        path = os.environ.get(BARS_VARIABLE)
        real = real_ratios(pl.read_parquet(path)) if path and "real" in asked.streams else None
        print_stationary(log, asked.streams, range(asked.seed, asked.seed + trials), real)
    elif asked.form == "breaks":
        print_breaks(trials, asked.seed)
    else:
        print_skill(log, range(asked.seed, asked.seed + trials), asked.objective, asked.wander)


if __name__ == "__main__":
    main()
