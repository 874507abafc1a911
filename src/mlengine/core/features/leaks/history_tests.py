"""Tests that are cheap enough for every bar there is, and the one of `scale_free`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from mlengine.core.bars.bars import PRICES
from mlengine.core.features.columns_read import reads_symbol
from mlengine.core.features.compute import KEYS, compute, latest
from mlengine.core.features.leaks.invariance_tests import (
    InvarianceTest,
    Reference,
    prefixes,
    spaced_offsets,
)
from mlengine.core.features.spec import FeatureSet

MOST_WINDOWS = 8_192
_FACTOR = 2.0
# Formulas of others add 1e-12 to a denominator; what a volume is counted in is no rounding.
_VOLUME_TOLERANCE = 1e-9


def history_tests(
    histories: Sequence[pl.DataFrame], feature_set: FeatureSet, *, cuts: int
) -> Iterator[InvarianceTest]:
    """What is tested on the whole history of every symbol, however long it is.

    The values again, at `cuts` moments those known by then, in other units, and from their windows
    alone: of all rows, or of evenly spaced ones where there are many.
    """
    reference = Reference.of(histories, feature_set)
    yield reference.compare("repeat", compute(pl.concat(histories), feature_set))
    longest = max(history.height for history in histories)
    yield from prefixes(reference, spaced_offsets(longest - feature_set.window_bars, cuts))
    yield from _in_other_units(reference)
    yield from _spaced_windows(reference)


def scale_tests(
    histories: Sequence[pl.DataFrame], feature_set: FeatureSet
) -> Iterator[InvarianceTest]:
    """All prices, and all volumes, times two: what is declared `scale_free` stays as it is."""
    return _in_other_units(Reference.of(histories, feature_set))


def _in_other_units(reference: Reference) -> Iterator[InvarianceTest]:
    bars, feature_set = pl.concat(reference.histories), reference.feature_set
    declared = np.array([[each.scale_free for each in feature_set.features]], dtype=bool)
    for columns in (PRICES, ("volume",)):
        scaled = compute(bars.with_columns(pl.col(columns) * _FACTOR), feature_set)
        test = reference.compare("scale", scaled)
        compared = test.compared & declared
        if columns != PRICES:
            compared &= ~np.isclose(
                test.actual, test.expected, rtol=_VOLUME_TOLERANCE, atol=0.0, equal_nan=True
            )
        yield replace(test, compared=compared)


def _spaced_windows(reference: Reference) -> Iterator[InvarianceTest]:
    """Rows from their own windows alone, as symbols of their own, over all of the history."""
    feature_set, window = reference.feature_set, reference.feature_set.window_bars
    blind = np.array([[not reads_symbol(feature_set, f) for f in feature_set.features]], dtype=bool)
    rows = sum(max(0, history.height - window + 1) for history in reference.histories)
    step = max(1, -(-rows // MOST_WINDOWS))
    for history in reference.histories:
        ends = np.arange(history.height - 1, window - 2, -step)
        if not len(ends):
            continue
        bars = ends[:, None] - np.arange(window - 1, -1, -1)
        number = pl.int_range(pl.len()) // window
        apart = history[bars.ravel()].with_columns(
            number.cast(pl.String).str.zfill(8).alias("symbol")
        )
        newest = latest(apart, feature_set).sort(KEYS)
        symbol = pl.lit(history["symbol"].item(0)).alias("symbol")
        test = reference.compare("window", newest.with_columns(symbol))
        yield replace(test, compared=test.compared & blind)
