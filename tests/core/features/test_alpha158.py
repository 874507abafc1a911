"""`alpha158` against the values of Microsoft Qlib, and what makes its windows exact."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.core.features.frames import bars_of_closes
from tests.factories import random_bars

from mlengine.core.features import ALPHA158, compute, latest

FOLDER = Path(__file__).parents[2] / "golden" / "alpha158"
W = ALPHA158.window_bars
LOOSE = ("CORR", "CORD", "WVMA")


@pytest.fixture(scope="module")
def qlib() -> pl.DataFrame:
    return _from_bar_61(pl.read_parquet(FOLDER / "alpha158_qlib.parquet"))


@pytest.fixture(scope="module")
def made() -> pl.DataFrame:
    return _from_bar_61(compute(pl.read_parquet(FOLDER / "alpha158_bars.parquet"), ALPHA158))


def _from_bar_61(frame: pl.DataFrame) -> pl.DataFrame:
    bar = pl.int_range(pl.len()).over("symbol")
    return frame.sort("symbol", "timestamp").filter(bar >= 60)


def _numbers(frame: pl.DataFrame, name: str) -> np.ndarray:
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def test_names_and_order_are_those_of_qlib(qlib: pl.DataFrame):
    assert W == 61
    assert list(ALPHA158.names) == qlib.drop("symbol", "timestamp", "LABEL0").columns
    assert len(ALPHA158.names) == 158


@pytest.mark.parametrize("name", ALPHA158.names)
def test_values_from_the_61st_bar_on_are_those_of_qlib(
    name: str, made: pl.DataFrame, qlib: pl.DataFrame
):
    assert made.select("symbol", "timestamp").equals(qlib.select("symbol", "timestamp"))
    value, expected = _numbers(made, name), _numbers(qlib, name)
    assert (np.isnan(value) == np.isnan(expected)).all()
    allowed = 2e-4 if name.startswith(LOOSE) else np.maximum(4e-7, 1e-6 * np.abs(expected))
    error = np.abs(value - expected)
    assert (
        error[~np.isnan(error)] <= np.broadcast_to(allowed, error.shape)[~np.isnan(error)]
    ).all()


def test_the_golden_files_are_those_of_the_metadata():
    metadata = json.loads((FOLDER / "metadata.json").read_text())
    for name, facts in metadata.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == facts["sha256"]


def test_the_oldest_of_equal_extremes_counts_and_ties_share_their_rank():
    closes = [10.0] * 58 + [12.0, 11.0, 12.0]
    row = latest(bars_of_closes(closes), ALPHA158).row(0, named=True)
    expected = {
        "IMAX5": 3 / 5,
        "IMAX60": 58 / 60,
        "IMIN5": 1 / 5,
        "IMIN60": 1 / 60,
        "IMXD5": 2 / 5,
        "RANK5": 4.5 / 5,
        "RANK60": 59.5 / 60,
        "CNTP5": 2 / 5,
        "CNTN5": 1 / 5,
        "CNTD5": 1 / 5,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-15)


def test_a_constant_close_deviates_by_nothing_and_has_no_line_or_correlation():
    row = latest(bars_of_closes([1.0 / 3.0] * W, [7.0] * W), ALPHA158).row(0, named=True)
    for d in (5, 10, 20, 30, 60):
        assert (row[f"STD{d}"], row[f"BETA{d}"], row[f"RESI{d}"], row[f"VSTD{d}"]) == (0, 0, 0, 0)
        assert (row[f"RSQR{d}"], row[f"CORR{d}"], row[f"CORD{d}"]) == (None, None, None)
        assert (row[f"MA{d}"], row[f"VMA{d}"]) == (1.0, pytest.approx(1.0, rel=1e-12))


def test_a_bar_without_trade_has_the_huge_values_of_qlib_and_no_nan():
    bars = random_bars(rows=W).with_columns(
        volume=pl.when(pl.int_range(pl.len()) == W - 1).then(0.0).otherwise(pl.col("volume"))
    )
    row = latest(bars, ALPHA158).row(0, named=True)
    mean = bars["volume"].cast(pl.Float32).tail(5).mean()
    assert row["VMA5"] == pytest.approx(mean / 1e-12, rel=1e-6)
    assert [name for name, value in row.items() if value is None] == []


def test_moments_keep_their_digits_at_a_price_of_60000():
    """Bars that single precision holds: steps of 1/256 upon 60,000."""
    steps = np.random.default_rng(5).integers(-3, 4, size=W) / 256.0
    closes = [float(value) for value in 60_000.0 + steps]
    row = latest(bars_of_closes(closes), ALPHA158).row(0, named=True)
    for d in (5, 10, 20, 30, 60):
        exact = np.asarray(steps[-d:])
        assert row[f"STD{d}"] == pytest.approx(exact.std(ddof=1) / closes[-1], rel=1e-13)
        slope = np.polyfit(np.arange(d), exact, 1)[0]
        assert row[f"BETA{d}"] == pytest.approx(slope / closes[-1], rel=1e-11, abs=1e-18)
