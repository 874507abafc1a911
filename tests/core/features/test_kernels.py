from __future__ import annotations

import math
from itertools import pairwise

import polars as pl
import pytest
from tests.factories import random_bars

from mlengine.core.features.kernels import (
    added,
    convolved,
    difference_weights,
    ema_weights,
    highest,
    kernel_input,
    lag,
    less,
    lowest,
    mean_gap_weights,
    slope_weights,
    total,
    weighted_sum,
)

CLOSE = random_bars(rows=2000).select(x=pl.col("close")).with_columns(
    pl.when(pl.int_range(pl.len()).is_in([300, 301, 340, 900])).then(math.nan)
    .otherwise(pl.col("x")).alias("x")
)  # fmt: skip
X = pl.col("x")


@pytest.mark.parametrize(
    "kernel",
    [
        total(X, bars=20),
        weighted_sum(X, weights=[(-1.0) ** i / (i + 3) for i in range(63)]),
        weighted_sum(X, weights=slope_weights(bars=60)),
        highest(X, bars=20),
        lowest(X, bars=33),
    ],
)
def test_kernels_forget_all_that_left_the_window(kernel: pl.Expr):
    whole = CLOSE.select(kernel).to_series()
    for start in (1, 2, 3, 17, 280, 299, 300, 301, 339, 341, 899, 901, 1500):
        late = CLOSE.slice(start).select(kernel).to_series().drop_nulls()
        same = whole.tail(late.len())
        assert (late.to_numpy().view("u8") == same.to_numpy().view("u8")).all()


def test_nan_stays_within_the_windows_that_hold_it():
    for kernel in (total(X, bars=5), highest(X, bars=5), lowest(X, bars=5)):
        bad = CLOSE.select(kernel).to_series().is_nan().arg_true().to_list()
        assert bad == [*range(300, 306), *range(340, 345), *range(900, 905)]


def test_kernel_outputs_can_feed_kernels():
    twice = total(kernel_input(total(X, bars=3)), bars=2)
    made = pl.DataFrame({"x": [1.0, 2.0, 3.0, 4.0]}).select(kernel_input(twice)).to_series()
    assert [str(value) for value in made] == ["nan", "nan", "nan", "15.0"]
    assert CLOSE.head(2).select(lag(X, bars=1)).to_series().is_nan().to_list() == [True, False]


def test_added_keeps_every_term():
    for n in (1, 2, 3, 14):
        assert pl.DataFrame({"x": [1.0]}).select(added(X * 2.0**i for i in range(n))).item() == (
            2.0**n - 1.0
        )


def test_ema_weights_sum_to_one_and_fall_off_with_age():
    weights = ema_weights(alpha=0.25, bars=10)
    assert math.fsum(weights) == pytest.approx(1.0, abs=1e-15)
    assert weights[-2] == pytest.approx(0.75 * weights[-1], rel=1e-15)


def test_difference_weights_give_the_weighted_sum_of_the_values():
    weights = less(ema_weights(alpha=0.3, bars=12), ema_weights(alpha=0.1, bars=20))
    values = [100.0 + math.sin(i) for i in range(20)]
    steps = [b - a for a, b in pairwise(values)]
    expected = math.fsum(w * v for w, v in zip(weights, values, strict=True))
    made = math.fsum(w * s for w, s in zip(difference_weights(weights), steps, strict=True))
    assert made == pytest.approx(expected, rel=1e-10)


def test_convolved_weights_are_the_average_of_averages():
    assert convolved([1.0, 2.0], [1.0, 10.0, 100.0]) == [1.0, 12.0, 120.0, 200.0]


def test_gap_and_slope_weights_of_a_line():
    assert sum(mean_gap_weights(bars=5)) == pytest.approx(2.0)
    assert sum(slope_weights(bars=20)) == pytest.approx(1.0)
