"""Which months of a real market differ: `python -m benchmarks.market_months BARS`, a parquet.

The reference is 2010 to 2016; each month of 2017 to 2021 is judged at its end by its newest window.
"""

from __future__ import annotations

import sys

import polars as pl
from benchmarks.market_streams import FEATURES, rows_of

from mlengine.core.features import CORE, compute
from mlengine.core.monitoring.drift.check import check_drift
from mlengine.core.monitoring.drift.reference import build_reference
from mlengine.core.monitoring.drift.tallies import tally

WINDOWS = (20, 42)


def main() -> None:
    """Print one row a month."""
    rows = compute(pl.read_parquet(sys.argv[1]), CORE)
    year = pl.col("timestamp").dt.year()
    trained = rows_of(rows.filter(year.is_between(2010, 2016)))
    months = rows.filter(year >= 2017)["timestamp"].dt.strftime("%Y-%m").unique().sort()
    reference = build_reference(FEATURES, trained, window_bars=CORE.window_bars, windows=WINDOWS)
    for window in WINDOWS:
        calibration = reference.calibration(window)
        assert calibration is not None
        print(f"| month | {window} dates | score | threshold | features, the greatest first |")
        print("| --- | --- | --- | --- | --- |")
        for month in months:
            until = pl.col("timestamp").dt.strftime("%Y-%m") <= month
            newest = rows.filter(until & (year >= int(month[:4]) - 1))
            live = tally(rows_of(newest), reference.grid).at(slice(-window, None))
            found = check_drift(reference, live, calibration)
            first = ", ".join(f"{each.feature} ({each.measure})" for each in found.features[:3])
            figures = f"{found.score:.1f} | {calibration.threshold:.1f}"
            print(f"| {month} | {found.status} | {figures} | {first} |")


if __name__ == "__main__":
    main()
