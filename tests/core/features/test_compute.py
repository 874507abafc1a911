"""The window rule: the same bits whatever else the frame holds."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.features.frames import differing_bits
from tests.factories import panel, random_bars

from mlengine.core.features import CORE, compute, latest
from mlengine.core.features.compute import CHUNK_ROWS

W = CORE.window_bars
BARS = random_bars(rows=420)
FULL = compute(BARS, CORE)


def test_a_row_is_the_same_when_later_bars_are_cut_off():
    wrong = [
        cut
        for cut in range(W, BARS.height, 2)
        if differing_bits(compute(BARS.head(cut), CORE), FULL.head(cut))
    ]
    assert wrong == []


@pytest.mark.parametrize("bars", [W, W + 1, W + 37, 2 * W, 252])
def test_the_last_bars_alone_give_the_bits_of_the_full_history(bars: int):
    for end in range(252, BARS.height, 12):
        short = compute(BARS.head(end).tail(bars), CORE)
        assert differing_bits(short.tail(1), FULL.head(end).tail(1)) == 0


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_latest_gives_the_bits_of_compute(rows: int):
    whole = panel(5, rows=200)
    expected = compute(whole, CORE).group_by("symbol", maintain_order=True).tail(rows)
    assert differing_bits(latest(whole, CORE, rows=rows), expected) == 0


def test_a_symbol_alone_has_the_bits_that_it_has_in_a_panel():
    whole = panel(60, rows=100)
    together = compute(whole, CORE)
    for symbol in ("S00", "S01", "S31", "S59"):
        mine = pl.col("symbol") == symbol
        assert differing_bits(compute(whole.filter(mine), CORE), together.filter(mine)) == 0


def test_shuffled_rows_and_several_chunks_change_nothing():
    whole = panel(4, rows=150)
    shuffled = whole.sample(fraction=1.0, shuffle=True, seed=3)
    pieces = pl.concat([shuffled.head(101), shuffled.tail(-101)], rechunk=False)
    assert differing_bits(compute(pieces, CORE), compute(whole, CORE)) == 0


def test_rows_evaluated_in_chunks_have_the_same_bits():
    whole = random_bars(rows=CHUNK_ROWS + 200, interval="1m")
    tail = compute(whole.tail(W + 400), CORE).tail(400)
    assert differing_bits(compute(whole, CORE).tail(400), tail) == 0


@settings(deadline=None, max_examples=15, derandomize=True)
@given(
    more=st.lists(
        st.floats(min_value=1e-6, max_value=1e9, allow_nan=False), min_size=1, max_size=90
    )
)
def test_appending_any_bars_changes_no_earlier_row(more: list[float]):
    base = BARS.head(W + 10)
    last = base["timestamp"].item(-1)
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), more)
    stamps = [last + timedelta(days=i + 1) for i in range(len(more))]
    extra = pl.DataFrame(
        {"symbol": ["AAA"] * len(more), "timestamp": stamps, **prices}, schema=BARS.schema
    )
    grown = compute(pl.concat([base, extra]), CORE)
    assert differing_bits(grown.head(base.height), FULL.head(base.height)) == 0


@settings(deadline=None, max_examples=15, derandomize=True)
@given(power=st.integers(min_value=-40, max_value=40))
def test_scaling_all_prices_by_a_power_of_two_changes_no_bit(power: int):
    prices = pl.col("open", "high", "low", "close") * 2.0**power
    assert differing_bits(compute(BARS.with_columns(prices), CORE), FULL) == 0


def test_scaling_volume_by_a_power_of_two_changes_no_bit():
    scaled = BARS.with_columns(pl.col("volume") * 1024.0)
    assert differing_bits(compute(scaled, CORE), FULL) == 0


def test_a_symbol_without_a_full_window_has_only_nulls():
    whole = pl.concat([random_bars("AAA", rows=90), random_bars("BBB", rows=W - 1),
                       random_bars("CCC", rows=W), random_bars("DDD", rows=1)])  # fmt: skip
    nulls = compute(whole, CORE).select("symbol", known=pl.sum_horizontal(
        pl.col(CORE.names).is_not_null()))  # fmt: skip
    counts = nulls.filter(pl.col("known") > 0).group_by("symbol").len().sort("symbol")
    assert counts.rows() == [("AAA", 90 - W + 1), ("CCC", 1)]
    assert latest(whole, CORE)["return_1"].is_null().to_list() == [False, True, False, True]


def test_no_bars_give_no_rows():
    for made in (compute(BARS.clear(), CORE), latest(BARS.clear(), CORE)):
        assert made.height == 0
        assert made.columns == ["symbol", "timestamp", *CORE.names]
        assert set(made.dtypes[2:]) == {pl.Float64}


def test_integer_prices_and_extra_columns_are_taken():
    whole = BARS.with_columns(pl.col("open", "high", "low", "close").round().cast(pl.Int64))
    floats = whole.with_columns(pl.col("open", "high", "low", "close").cast(pl.Float64))
    odd = whole.with_columns(change=pl.lit("x"))
    assert differing_bits(compute(odd, CORE), compute(floats, CORE)) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None])
@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
def test_a_bad_value_makes_null_exactly_the_features_that_look_at_it(
    column: str, bad: float | None
):
    at = 200
    spoilt = BARS.with_columns(
        pl.when(pl.int_range(pl.len()) == at).then(pl.lit(bad, pl.Float64))
        .otherwise(pl.col(column)).alias(column)
    )  # fmt: skip
    made = compute(spoilt, CORE)
    doubled = pl.when(pl.int_range(pl.len()) == at).then(pl.col(column) * 1.5)
    moved = compute(BARS.with_columns(doubled.otherwise(pl.col(column)).alias(column)), CORE)
    for feature in CORE.features:
        null = made[feature.name].is_null().to_numpy()
        touched = (moved[feature.name] != FULL[feature.name]).fill_null(value=False).to_numpy()
        assert not (touched & ~null).any(), feature.name
        rows = np.flatnonzero(null[W - 1 :]) + W - 1
        assert rows.size == 0 or (rows[0] >= at and rows[-1] < at + feature.bars), feature.name
        unharmed = ~null
        assert FULL[feature.name].filter(unharmed).equals(made[feature.name].filter(unharmed))


@pytest.mark.parametrize("feature", CORE.features, ids=lambda feature: feature.name)
def test_no_feature_looks_further_back_than_it_declares(feature):
    """Bars before its look-back are replaced by others; the bits must stay."""
    other = random_bars(rows=W - feature.bars, price=7.0, seed=99)
    recent = BARS.tail(feature.bars)
    replaced = BARS.tail(W).head(W - feature.bars).select("symbol", "timestamp").hstack(
        other.select("open", "high", "low", "close", "volume")
    )  # fmt: skip
    made = compute(pl.concat([replaced, recent]), CORE)[feature.name].item(-1)
    assert made == FULL[feature.name].item(-1)
