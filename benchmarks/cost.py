"""How the cost of features grows with symbols and bars: `make bench-cost` measures and plots it.

Each point is the best of a few runs, each in a process of its own. Prints the points, and for each
axis the straight line through them: how much of the variance it explains, and the exponent that a
power law would have, which is 1 where cost is linear. By hand: `python -m benchmarks.cost PYTHON
IMAGE`, with the Python of an environment that has matplotlib.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import polars as pl
from benchmarks.features import in_a_process_of_its_own

from mlengine.core.features import BUILTIN

RUNS = 3
# By axis: its sizes, and the (symbols, bars) of a size.
AXES = {
    "symbols of 2,700 bars": [(symbols, 2_700) for symbols in (10, 50, 100, 200, 300, 400, 500)],
    "bars of 200 symbols": [(200, bars) for bars in (500, 1_000, 2_000, 3_000, 4_000, 5_000)],
}
Point = dict[str, float]


def point(name: str, symbols: int, bars: int) -> Point:
    runs = [in_a_process_of_its_own(name, symbols, bars) for _ in range(RUNS)]
    best = {unit: min(run[unit] for run in runs) for unit in ("seconds", "cpu", "gigabytes")}
    return {"symbols": symbols, "bars": bars, **best}


def line(rows: Sequence[float], seconds: Sequence[float]) -> tuple[float, float, float]:
    """Seconds a million rows, R² of the straight line, and the exponent of a power law."""
    slope, start = np.polyfit(rows, seconds, 1)
    rest = np.asarray(seconds) - (slope * np.asarray(rows) + start)
    exponent, _ = np.polyfit(np.log(rows), np.log(seconds), 1)
    return float(slope * 1e6), float(1.0 - rest.var() / np.var(seconds)), float(exponent)


def measured(name: str, axis: str) -> list[Point]:
    points = [point(name, symbols, bars) for symbols, bars in AXES[axis]]
    for one in points:
        print(
            f"| {name} | {one['symbols']:.0f} x {one['bars']:,.0f} | {one['seconds']:.3f}"
            f" | {one['cpu']:.3f} | {one['gigabytes']:.2f} GB |",
            flush=True,
        )
    rows = [one["symbols"] * one["bars"] for one in points]
    slope, explained, exponent = line(rows, [one["cpu"] for one in points])
    print(
        f"| {name} | {axis} | | {slope:.2f} a million rows"
        f" | R² {explained:.4f}, exponent {exponent:.2f} |",
        flush=True,
    )
    return points


def main() -> None:
    python, image = sys.argv[1:]
    print(f"Polars {pl.__version__}, {pl.thread_pool_size()} threads, best of {RUNS}\n")
    print("| set | symbols x bars | seconds | CPU seconds | peak memory |")
    print("| --- | --- | --- | --- | --- |")
    found = {axis: {name: measured(name, axis) for name in BUILTIN} for axis in AXES}
    plot = [python, "-m", "benchmarks.cost_plot", image]
    subprocess.run(plot, input=json.dumps(found), text=True, check=True)


if __name__ == "__main__":
    main()
