"""The window rule: the same bits whatever else the frame holds, for every built-in set."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.features.frames import bitwise_differences
from tests.factories import panel, random_bars
from tests.processes import feature_bits

from mlengine.core.features import BUILTIN, CORE, Feature, FeatureSet, compute, latest
from mlengine.core.features.compute import CHUNK_ROWS, FEW_ROWS
from mlengine.core.features.kernels import total

ROOT = Path(__file__).parents[3]
BARS = random_bars(rows=420)
FULL = {name: compute(BARS, feature_set) for name, feature_set in BUILTIN.items()}
PRICES = ["open", "high", "low", "close"]
KEYS = ["symbol", "timestamp"]


@pytest.fixture(params=BUILTIN.values(), ids=BUILTIN)
def each(request: pytest.FixtureRequest) -> FeatureSet:
    return request.param


def test_a_row_is_the_same_when_later_bars_are_cut_off(each: FeatureSet):
    cuts = np.linspace(each.window_bars, BARS.height - 1, 200).astype(int).tolist()
    assert len(set(cuts)) == 200
    full = FULL[each.name]
    wrong = [
        cut for cut in cuts if bitwise_differences(compute(BARS.head(cut), each), full.head(cut))
    ]
    assert wrong == []


def test_the_last_bars_alone_give_the_bits_of_the_full_history(each: FeatureSet):
    w, full = each.window_bars, FULL[each.name]
    for end in range(252, BARS.height, 12):
        for bars in (w, w + 1, w + 37, 2 * w, 252):
            short = compute(BARS.head(end).tail(bars), each)
            assert bitwise_differences(short.tail(1), full.head(end).tail(1)) == 0


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_latest_gives_the_bits_of_compute(each: FeatureSet, rows: int):
    whole = panel(5, rows=200)
    expected = compute(whole, each).group_by("symbol", maintain_order=True).tail(rows)
    assert bitwise_differences(latest(whole, each, rows=rows), expected) == 0


@pytest.mark.parametrize("rows", [1, 3])
def test_latest_of_many_bars_gives_the_bits_of_compute_where_some_are_missing(
    each: FeatureSet, rows: int
):
    """Short histories, missing values and shuffled rows, in more rows than few."""
    row, symbols = pl.int_range(pl.len()), panel(24, rows=90)
    short = symbols.filter((pl.col("symbol") != "S07") | (row % 90 < each.window_bars - 2))
    holes = pl.when(row % 611 != 0).then("close").otherwise(None)
    zeros = pl.when(row % 701 != 0).then("volume").otherwise(0.0)
    whole = short.with_columns(holes.alias("close"), zeros.alias("volume"))
    assert FEW_ROWS < whole.height <= CHUNK_ROWS
    expected = compute(whole, each).group_by("symbol", maintain_order=True).tail(rows)
    assert expected.null_count().sum_horizontal().item() > 0
    shuffled = whole.sample(fraction=1.0, shuffle=True, seed=5)
    assert bitwise_differences(latest(shuffled, each, rows=rows), expected) == 0


def test_latest_of_a_universe_in_parts_gives_the_bits_of_compute(each: FeatureSet):
    """So many symbols that they are evaluated some after the others; some have too few bars."""
    row, symbols = pl.int_range(pl.len()), panel(640, rows=66)
    whole = symbols.filter((row // 66 % 5 > 0) | (row % 66 < 20))
    newest = latest(whole, each)
    assert newest["symbol"].n_unique() == newest.height == 640
    assert whole.height > CHUNK_ROWS // 2
    expected = compute(whole, each).group_by("symbol", maintain_order=True).tail(1)
    assert bitwise_differences(newest, expected) == 0


def test_latest_of_a_set_of_ones_own_gives_the_bits_of_compute():
    """What Polars can't see through, a feature that is a part of another, one value for all."""
    close = pl.col("close")
    exprs = {
        "unseen": close.map_batches(lambda series: series * 2.0, return_dtype=pl.Float64),
        "gap": pl.col("before") - pl.col("total"),
        "total": pl.col("sum"),
        "before": pl.col("total").shift(1, fill_value=math.nan),
        "mean": close.mean(),
        "one": pl.lit(1.0),
        "hour": pl.col("timestamp").dt.hour(),
        "named": pl.col("symbol").str.len_chars() * close,
    }
    features = tuple(
        Feature(name=name, expr=expr, formula="f", bars=4, unit="none", source="test", doc="Test.")
        for name, expr in exprs.items()
    )
    parts = {"sum": total(close, bars=3), "unused": pl.col("nowhere")}
    mine = FeatureSet(name="mine", version=1, window_bars=4, features=features, parts=parts)
    whole = panel(24, rows=90)
    assert whole.height > FEW_ROWS
    used = replace(mine, parts={"sum": parts["sum"]})
    mean_is_of_few_rows = pl.exclude("mean")
    for rows in (1, 3):
        expected = compute(whole, used).group_by("symbol", maintain_order=True).tail(rows)
        newest = latest(whole, mine, rows=rows)
        assert newest["mean"].is_not_null().all()
        made, asked = (frame.select(mean_is_of_few_rows) for frame in (newest, expected))
        assert bitwise_differences(made, asked) == 0


def test_a_symbol_alone_has_the_bits_that_it_has_in_a_panel(each: FeatureSet):
    whole = panel(60, rows=100)
    together, newest = compute(whole, each), latest(whole, each)
    for symbol in ("S00", "S01", "S31", "S59"):
        mine = pl.col("symbol") == symbol
        alone = whole.filter(mine)
        assert bitwise_differences(compute(alone, each), together.filter(mine)) == 0
        assert bitwise_differences(latest(alone, each), newest.filter(mine)) == 0


def test_shuffled_rows_and_several_chunks_change_nothing(each: FeatureSet):
    whole = panel(4, rows=150)
    shuffled = whole.sample(fraction=1.0, shuffle=True, seed=3)
    pieces = pl.concat([shuffled.head(101), shuffled.tail(-101)], rechunk=False)
    assert bitwise_differences(compute(pieces, each), compute(whole, each)) == 0


def test_rows_evaluated_in_chunks_have_the_same_bits(each: FeatureSet):
    whole = random_bars(rows=CHUNK_ROWS + 200, interval="1m")
    made = compute(whole, each).tail(600)
    tail = compute(whole.tail(each.window_bars + 600), each).tail(600)
    assert bitwise_differences(made, tail) == 0
    assert bitwise_differences(latest(whole, each, rows=CHUNK_ROWS + 100).tail(600), tail) == 0


def test_the_number_of_threads_changes_no_bit():
    said = [
        subprocess.run(
            [sys.executable, "-m", feature_bits.__name__],
            cwd=ROOT, env={"POLARS_MAX_THREADS": threads, "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=True,
        ).stdout.split()
        for threads in ("1", "2", "4")
    ]  # fmt: skip
    assert [threads for threads, _ in said] == ["1", "2", "4"]
    assert {digest for _, digest in said} == {feature_bits.digest_of_all_bits()}


AMOUNT = st.floats(min_value=1e-6, max_value=1e9)
VALUE = AMOUNT | st.sampled_from([0.0, math.nan, math.inf, None])


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    more=st.lists(st.tuples(VALUE, VALUE, VALUE, VALUE, VALUE), min_size=1, max_size=90),
    missing=st.integers(min_value=-20, max_value=73),
)
def test_appending_any_bars_changes_no_earlier_row(
    more: list[tuple[float | None, ...]], missing: int
):
    """Whatever comes later, missing values too, and whether or not one is missing before."""
    row = pl.int_range(pl.len())
    base = BARS.head(74).with_columns(pl.when(row != missing).then("close").alias("close"))
    last = base["timestamp"].item(-1)
    extra = pl.DataFrame(
        [("AAA", last + timedelta(days=i + 1), *values) for i, values in enumerate(more)],
        schema=BARS.schema, orient="row",
    )  # fmt: skip
    for each in BUILTIN.values():
        grown = compute(pl.concat([base, extra]), each)
        assert bitwise_differences(grown.head(base.height), compute(base, each)) == 0


@settings(deadline=None, max_examples=15, derandomize=True)
@given(power=st.integers(min_value=-40, max_value=40))
def test_scaling_all_prices_by_a_power_of_two_changes_no_bit_of_a_scale_free_feature(power: int):
    for name, each in BUILTIN.items():
        free = [feature.name for feature in each.features if feature.scale_free]
        made = compute(scaled(power), each).select(*KEYS, *free)
        assert bitwise_differences(made, FULL[name].select(*KEYS, *free)) == 0


def test_a_feature_is_scale_free_unless_its_formula_holds_an_amount_of_money():
    bound = {name: [f for f in each.features if not f.scale_free] for name, each in BUILTIN.items()}
    assert {name: len(features) for name, features in bound.items()} == {"core": 0, "alpha158": 34}
    made = [compute(scaled(power), BUILTIN["alpha158"]) for power in (-40, 10)]
    for feature in bound["alpha158"]:
        assert "1e-12" in feature.formula or "2e-5" in feature.formula
        before = FULL["alpha158"][feature.name]
        assert not all(other[feature.name].equals(before) for other in made), feature.name


def scaled(power: int) -> pl.DataFrame:
    return BARS.with_columns(pl.col(PRICES) * 2.0**power)


def test_scaling_volume_by_a_power_of_two_changes_no_bit():
    scaled = BARS.with_columns(pl.col("volume") * 1024.0)
    assert bitwise_differences(compute(scaled, CORE), FULL["core"]) == 0


def test_a_symbol_without_a_full_window_has_only_nulls(each: FeatureSet):
    w, first = each.window_bars, each.names[0]
    whole = pl.concat([random_bars("AAA", rows=90), random_bars("BBB", rows=w - 1),
                       random_bars("CCC", rows=w), random_bars("DDD", rows=1)])  # fmt: skip
    nulls = compute(whole, each).select("symbol", known=pl.sum_horizontal(
        pl.col(each.names).is_not_null()))  # fmt: skip
    counts = nulls.filter(pl.col("known") > 0).group_by("symbol").len().sort("symbol")
    assert counts.rows() == [("AAA", 90 - w + 1), ("CCC", 1)]
    assert latest(whole, each)[first].is_null().to_list() == [False, True, False, True]


def test_no_bars_give_no_rows(each: FeatureSet):
    for made in (compute(BARS.clear(), each), latest(BARS.clear(), each)):
        assert made.height == 0
        assert made.columns == ["symbol", "timestamp", *each.names]
        assert set(made.dtypes[2:]) == {pl.Float64}


def test_integer_prices_and_extra_columns_are_taken(each: FeatureSet):
    whole = BARS.with_columns(pl.col(PRICES).round().cast(pl.Int64))
    floats = whole.with_columns(pl.col(PRICES).cast(pl.Float64))
    odd = whole.with_columns(change=pl.lit("x"))
    assert bitwise_differences(compute(odd, each), compute(floats, each)) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None])
@pytest.mark.parametrize("column", [*PRICES, "volume"])
def test_a_bad_value_makes_null_exactly_the_features_that_look_at_it(
    each: FeatureSet, column: str, bad: float | None
):
    at, w, full = 200, each.window_bars, FULL[each.name]
    here = pl.when(pl.int_range(pl.len()) == at)
    spoilt = here.then(pl.lit(bad, pl.Float64)).otherwise(pl.col(column))
    made = compute(BARS.with_columns(spoilt.alias(column)), each)
    moves = [here.then(pl.col(column) * by).otherwise(pl.col(column)) for by in (1.5, 0.5)]
    moved = [compute(BARS.with_columns(move.alias(column)), each) for move in moves]
    for feature in each.features:
        name, null = feature.name, made[feature.name].is_null().to_numpy()
        touched = (moved[0][name] != full[name]) | (moved[1][name] != full[name])
        assert not (touched.fill_null(value=False).to_numpy() & ~null).any(), name
        rows = np.flatnonzero(null[w - 1 :]) + w - 1
        assert rows.size == 0 or (rows[0] >= at and rows[-1] < at + feature.bars), name
        unharmed = ~null
        assert full[name].filter(unharmed).equals(made[name].filter(unharmed))


@pytest.mark.parametrize("bars", sorted({f.bars for s in BUILTIN.values() for f in s.features}))
def test_no_feature_looks_further_back_than_it_declares(bars: int):
    """Bars before its look-back are replaced by others; the bits must stay."""
    for name, each in BUILTIN.items():
        other = random_bars(rows=max(each.window_bars - bars, 0), price=7.0, seed=99)
        keys = BARS.tail(each.window_bars).head(other.height).select("symbol", "timestamp")
        replaced = keys.hstack(other.select(*PRICES, "volume"))
        made = compute(pl.concat([replaced, BARS.tail(bars)]), each)
        mine = [feature.name for feature in each.features if feature.bars == bars]
        last = FULL[name].tail(1)
        assert made.tail(1).select(mine).equals(last.select(mine))
