"""158 features by `alpha158` and by Microsoft Qlib, in one run: `make bench-features` prints both.

Both get the same generated bars, each from its own files and in a process of its own, one after
the other, on two cores. Qlib reads its store of .bin files, this side a Parquet file; its time
counts as Qlib's does. Afterwards the values are compared, so that the same work was done. By hand:
`python -m benchmarks.against_qlib PYTHON`, with the Python of an environment that has pyqlib.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from benchmarks.features import generated_bars, peak_gigabytes

from benchmarks import qlib_store
from mlengine.core.features import ALPHA158, compute

BARS = 2_700
# Symbols, and how many times faster than Qlib's loader is required.
REQUIRED = {100: 8.0, 500: 10.0}
GIGABYTES = 2.2
# Qlib takes logarithms, ratios and products of these in single precision.
LOOSE = ("CORR", "CORD", "WVMA")


def ours(parquet: Path) -> dict[str, float]:
    compute(generated_bars(2, 100), ALPHA158)
    wall, cpu = time.perf_counter(), time.process_time()
    compute(pl.read_parquet(parquet), ALPHA158)
    spent = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    return {**spent, "gigabytes": peak_gigabytes()}


def told_by(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def worst_differences(bars: pl.DataFrame, values: Path, names: list[str]) -> tuple[float, float]:
    """Of exact and of loose features, in units of what is allowed; nulls must agree."""
    assert names == list(ALPHA158.names)
    theirs = np.load(values, mmap_mode="r")
    made = compute(bars, ALPHA158)
    full = (pl.int_range(pl.len()).over("symbol") >= ALPHA158.window_bars - 1).alias("full")
    rows = made.select(full)["full"].to_numpy()
    worst = {True: 0.0, False: 0.0}
    for column, name in enumerate(names):
        loose = name.startswith(LOOSE)
        value = made[name].cast(pl.Float64).fill_null(np.nan).to_numpy()[rows]
        expected = theirs[rows, column].astype(float)
        assert (np.isnan(value) == np.isnan(expected)).all(), name
        allowed = 2e-4 if loose else np.maximum(4e-7, 1e-6 * np.abs(expected))
        worst[loose] = max(worst[loose], float(np.nanmax(np.abs(value - expected) / allowed)))
    return worst[False], worst[True]


def compare(python: str, symbols: int) -> bool:
    """Print both sides; whether the figures are those that are required."""
    bars = generated_bars(symbols, BARS)
    with tempfile.TemporaryDirectory() as folder:
        store, parquet, values = (Path(folder) / name for name in ("store", "bars", "values.npy"))
        qlib_store.write(bars, store)
        bars.write_parquet(parquet)
        theirs = told_by([python, "-m", "benchmarks.qlib_loader", str(store), str(values)])
        mine = told_by([sys.executable, "-m", "benchmarks.against_qlib", "--ours", str(parquet)])
        exact, loose = worst_differences(bars, values, theirs["names"])
    for who, told in ((f"Qlib {theirs['version']}", theirs), ("alpha158", mine)):
        print(
            f"| {symbols} x {BARS:,} | {who} | {told['seconds']:.2f} | {told['cpu']:.2f}"
            f" | {told['gigabytes']:.2f} GB |"
        )
    times, cpu_times = (theirs[unit] / mine[unit] for unit in ("seconds", "cpu"))
    print(
        f"| | | {times:.1f} times (required {REQUIRED[symbols]:.0f}) | {cpu_times:.1f} times"
        f" | differences {exact:.2f} and {loose:.2f} of the allowed |",
        flush=True,
    )
    fast = times >= REQUIRED[symbols] and mine["gigabytes"] <= GIGABYTES
    return fast and max(exact, loose) <= 1.0


def main() -> None:
    first, *rest = sys.argv[1:]
    if first == "--ours":
        print(json.dumps(ours(Path(rest[0]))))
        return
    print(f"Polars {pl.__version__}, {pl.thread_pool_size()} threads\n")
    print("| symbols x bars | who | seconds | CPU seconds | memory of the largest process |")
    print("| --- | --- | --- | --- | --- |")
    held = [compare(first, symbols) for symbols in REQUIRED]
    if not all(held):
        sys.exit("not as fast, as frugal or as exact as required")


if __name__ == "__main__":
    main()
