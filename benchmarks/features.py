"""What features cost: `python -m benchmarks.features` prints one table of both built-in sets.

Whole histories run in a process each, so that the peak memory is theirs; it counts bars, features
and the interpreter. Newest rows are read as the live path does, without any cache: the best and
the median of many calls. Bars are generated. On a busy machine CPU seconds say more than seconds.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from mlengine.core.bars.bars import BARS_SCHEMA
from mlengine.core.features import BUILTIN, FeatureSet, compute, latest

HISTORIES = ((10, 2_700), (100, 2_700), (500, 500), (500, 2_700))


def generated_bars(symbols: int, bars: int) -> pl.DataFrame:
    """Random walks with sane bars; float64 with all digits taken."""
    rng = np.random.default_rng(7)
    shape = (symbols, bars)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, shape), axis=1))
    open_ = close * np.exp(rng.normal(0.0, 0.007, shape))
    spans = 1.0 + np.abs(rng.normal(0.0, 0.01, (2, *shape)))
    columns = {
        "open": open_,
        "high": np.maximum(open_, close) * spans[0],
        "low": np.minimum(open_, close) / spans[1],
        "close": close,
        "volume": rng.lognormal(14.0, 0.5, shape),
    }
    days = np.datetime64("2010-01-01", "us") + np.arange(bars) * np.timedelta64(1, "D")
    return pl.DataFrame(
        {
            "symbol": np.repeat([f"S{i:04d}" for i in range(symbols)], bars),
            "timestamp": np.tile(days, symbols),
            **{name: values.ravel() for name, values in columns.items()},
        }
    ).with_columns(pl.col("timestamp").dt.replace_time_zone("UTC").cast(BARS_SCHEMA["timestamp"]))


def whole_history(name: str, symbols: int, bars: int) -> dict[str, float]:
    """Seconds of the first `compute` of this process, and its peak memory."""
    panel = generated_bars(symbols, bars)
    compute(panel.head(200), BUILTIN[name])
    wall, cpu = time.perf_counter(), time.process_time()
    made = compute(panel, BUILTIN[name])
    seconds = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    assert made.shape == (symbols * bars, 2 + len(BUILTIN[name].names))
    return {**seconds, "rows": made.height, "gigabytes": peak_gigabytes()}


def peak_gigabytes() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def in_a_process_of_its_own(name: str, symbols: int, bars: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.features", "--one", name, str(symbols), str(bars)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def newest_row(feature_set: FeatureSet, symbols: int, *, calls: int) -> list[float]:
    """Milliseconds of each call."""
    panel = generated_bars(symbols, feature_set.window_bars)
    return [1e3 * _seconds(lambda: latest(panel, feature_set)) for _ in range(calls)]


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def print_histories(histories: Sequence[tuple[int, int]]) -> None:
    print("| set | symbols x bars | seconds | CPU seconds | rows/s | peak memory |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in BUILTIN:
        for symbols, bars in histories:
            one = in_a_process_of_its_own(name, symbols, bars)
            rate = one["rows"] / one["seconds"]
            print(
                f"| {name} | {symbols} x {bars:,} | {one['seconds']:.2f} | {one['cpu']:.2f}"
                f" | {rate:,.0f} | {one['gigabytes']:.2f} GB |"
            )


def print_newest_rows() -> None:
    print("\n| set | newest row of | best | median |\n| --- | --- | --- | --- |")
    for name, feature_set in BUILTIN.items():
        for symbols, calls in ((1, 200), (500, 15)):
            times = newest_row(feature_set, symbols, calls=calls)
            print(
                f"| {name} | {symbols} symbols | {min(times):.1f} ms"
                f" | {statistics.median(times):.1f} ms |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, metavar=("SET", "SYMBOLS", "BARS"))
    asked = parser.parse_args().one
    if asked:
        print(json.dumps(whole_history(asked[0], int(asked[1]), int(asked[2]))))
        return
    print(f"Polars {pl.__version__}, {pl.thread_pool_size()} threads\n")
    print_histories(HISTORIES)
    print_newest_rows()


if __name__ == "__main__":
    main()
