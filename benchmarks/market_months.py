"""Which months of a real market differ: `python -m benchmarks.market_months BARS`, a parquet.

The reference is 2010 to 2016; each month of 2017 to 2021 is judged at its end by its newest window.
"""

from __future__ import annotations

import sys

import polars as pl
from benchmarks.market_streams import FEATURES, rows_of

from mlengine.core.features import CORE, compute
from mlengine.core.monitoring.drift.check import build_reference, check_drift

WINDOWS = (21, 42)


def main() -> None:
    """Print one row a month."""
    rows = compute(pl.read_parquet(sys.argv[1]), CORE)
    year = pl.col("timestamp").dt.year()
    trained = rows_of(rows.filter(year.is_between(2010, 2016)))
    months = rows.filter(year >= 2017)["timestamp"].dt.strftime("%Y-%m").unique().sort()
    for window in WINDOWS:
        reference = build_reference(
            FEATURES, trained, window_dates=window, gap_dates=CORE.window_bars
        )
        print(f"| month | {window} dates | score | threshold | features, the greatest first |")
        print("| --- | --- | --- | --- | --- |")
        for month in months:
            until = pl.col("timestamp").dt.strftime("%Y-%m") <= month
            newest = rows.filter(until & (year >= int(month[:4]) - 1))
            found = check_drift(reference, rows_of(newest))
            first = ", ".join(f"{each.feature} ({each.measure})" for each in found.features[:3])
            threshold = reference.calibration.threshold
            print(f"| {month} | {found.status} | {found.score:.1f} | {threshold:.1f} | {first} |")


if __name__ == "__main__":
    main()
