"""Joined windows against plain numpy over each window."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import polars as pl
import pytest

from mlengine.core.features.merged_windows import (
    comoments,
    deviations_from_mean,
    rolling_max_and_argmax,
    rolling_sums,
    squared_deviations,
    time_comoments,
)
from mlengine.core.features.spec import FeatureSet

SIZES = (5, 10, 20, 30, 60)
DRAW = np.random.default_rng(3)
X, Y = 60_000.0 + DRAW.normal(0.0, 0.01, 90), DRAW.lognormal(3.0, 1.0, 90)
PARTS = {
    **rolling_sums("x"),
    **deviations_from_mean("x"),
    **squared_deviations("x"),
    **time_comoments("x"),
    **deviations_from_mean("y"),
    **comoments("x", "y", prefix="xy"),
    **rolling_max_and_argmax("x"),
}


def parts_of(x: np.ndarray, y: np.ndarray = Y) -> pl.DataFrame:
    frame = pl.DataFrame({"x": x, "y": y[: len(x)]})
    for stage in FeatureSet(
        name="t", version=1, window_bars=60, features=(), parts=PARTS
    ).column_batches:
        frame = frame.with_columns(stage)
    return frame


def moment(left: np.ndarray, right: np.ndarray) -> float:
    a, b = [Fraction(v) for v in left.tolist()], [Fraction(v) for v in right.tolist()]
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    return float(sum((p - mean_a) * (q - mean_b) for p, q in zip(a, b, strict=True)))


@pytest.mark.parametrize("bars", SIZES)
def test_moments_of_joined_windows_lose_no_digits(bars: int):
    made = parts_of(X)
    for end in (bars, 61, 77, 90):
        if end < bars:
            continue
        x, y = X[end - bars : end], Y[end - bars : end]
        row = made.row(end - 1, named=True)
        steps = np.arange(float(bars))
        assert row[f"x:sum:{bars}"] == pytest.approx(x.sum(), rel=1e-14)
        assert row[f"x:squared_deviations:{bars}"] == pytest.approx(moment(x, x), rel=1e-13)
        scale = np.sqrt(moment(x, x) * moment(y, y))
        assert row[f"xy:{bars}"] == pytest.approx(moment(x, y), abs=1e-13 * scale)
        scale = np.sqrt(moment(x, x) * moment(steps, steps))
        assert row[f"x:trend:{bars}"] == pytest.approx(moment(steps, x), abs=1e-13 * scale)
        exact = float(Fraction(x[-1]) - sum(Fraction(v) for v in x.tolist()) / bars)
        assert row[f"x:gap:{bars}"] == pytest.approx(exact, abs=1e-16)


@pytest.mark.parametrize("bars", SIZES)
def test_peaks_are_numpys_and_the_oldest_of_equal_ones(bars: int):
    x = DRAW.integers(0, 7, 90).astype(float)
    made = parts_of(x)
    for end in range(bars, 91):
        window = x[end - bars : end]
        found = made.row(end - 1, named=True)
        assert found[f"x:peak:{bars}"] == window.max()
        assert found[f"x:place:{bars}"] == window.argmax() + 1


@pytest.mark.parametrize("bars", SIZES)
def test_nan_stays_within_the_windows_that_hold_it(bars: int):
    x = X.copy()
    x[65] = np.nan
    made = parts_of(x)
    for kind in ("sum", "gap", "squared_deviations", "trend", "peak"):
        unknown = made[f"x:{kind}:{bars}"].slice(60).is_nan().arg_true() + 60
        assert unknown.to_list() == list(range(65, min(65 + bars, 90)))


def test_a_constant_series_scatters_by_nothing():
    made = parts_of(np.full(70, 0.1))
    for bars in SIZES:
        for kind in ("gap", "squared_deviations", "trend"):
            assert made[f"x:{kind}:{bars}"].item(-1) == 0.0
