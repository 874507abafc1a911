"""The self-test of a feature set on all bars of all symbols, the costly parts on the newest."""

from dataclasses import replace

import polars as pl

from mlengine.core.features.leaks.check import (
    CUTS,
    LeakReport,
    Tests,
    check_for_leaks,
    merge_breaches,
    run_tests,
)
from mlengine.core.features.leaks.history_tests import history_tests
from mlengine.core.features.spec import BAR_COLUMNS, FeatureSet

# Enough for every test; all of them on the whole history would take minutes.
SYMBOLS = 3
BARS_PER_SYMBOL = 400
WINDOWS_PER_SYMBOL = 4
FEW_CUTS = 4


def check_history(
    bars: pl.DataFrame, feature_set: FeatureSet, *, polars_version: str = pl.__version__
) -> LeakReport:
    """Test every feature of `feature_set` on `bars`: any symbols, rows in any order.

    On every bar: repetition, moments, units, and windows alone. On the newest bars of the symbols
    with the longest histories: everything that `check_for_leaks` does. Raises ValueError as that.
    """
    sample = _sample(bars, max(BARS_PER_SYMBOL, WINDOWS_PER_SYMBOL * feature_set.window_bars))
    report = check_for_leaks(sample, feature_set, cuts=FEW_CUTS, polars_version=polars_version)
    symbols = tuple(bars["symbol"].unique().sort())
    report = replace(report, symbols=symbols, rows=bars.height)
    if not feature_set.features or sample.height == bars.height:
        return report
    ordered = bars.select("symbol", "timestamp", pl.col(BAR_COLUMNS).cast(pl.Float64))
    histories = ordered.sort("symbol", "timestamp").partition_by("symbol", maintain_order=True)
    tests: Tests = history_tests
    return merge_breaches(report, run_tests(tests, histories, feature_set, CUTS))


def _sample(bars: pl.DataFrame, rows: int) -> pl.DataFrame:
    """The newest `rows` bars of the few symbols with the longest histories."""
    symbol = pl.col("symbol")
    by_length = bars.group_by("symbol").len().sort("len", "symbol", descending=[True, False])
    chosen = by_length["symbol"].head(SYMBOLS).to_list()
    ordered = bars.filter(symbol.is_in(chosen)).sort("symbol", "timestamp")
    return ordered.group_by("symbol", maintain_order=True).tail(rows)
