"""Digits where prices and volumes are hard: against rational two-pass arithmetic."""

from __future__ import annotations

import math
import random

import pytest
from tests.core.features import reference
from tests.core.features.frames import bars_of_closes, newest
from tests.factories import random_bars

from mlengine.core.features import CORE, compute

MOMENTS = (
    "bollinger_position_20", "bollinger_width_20", "zscore_60", "volume_zscore_20", "r2_20",
    "r2_60", "slope_20", "slope_60", "close_volume_correlation_20",
)  # fmt: skip


def noisy(level: float, noise: float, rows: int, *, walk: bool = False) -> list[float]:
    draw = random.Random(11)  # noqa: S311
    values, price = [], level
    for _ in range(rows):
        price = (price if walk else level) + draw.gauss(0.0, noise)
        values.append(price)
    return values


def worst(closes: list[float], volumes: list[float] | None = None, *, names=MOMENTS) -> float:
    """The largest relative error over every window of the series."""
    bars = bars_of_closes(closes, volumes)
    made, errors = compute(bars, CORE), []
    for end in range(CORE.window_bars, bars.height + 1, 3):
        exact = reference.features(bars.head(end))
        for name in names:
            value, expected = made[name].item(end - 1), exact[name]
            assert (value is None) == (expected is None), (name, end, value, expected)
            if expected:
                # A value near zero is the small rest of far larger terms: judged by its range.
                scale = max(abs(expected), 1e-3 if name in BOUNDED else 0.0)
                errors.append(abs(value - expected) / scale)
    return max(errors)


BOUNDED = {feature.name for feature in CORE.features if feature.high is not None}


@pytest.mark.parametrize("walk", [False, True])
def test_price_60000_with_noise_of_a_cent_keeps_nine_digits(walk: bool):
    volumes = noisy(1e6, 1e5, 160)
    assert worst(noisy(60_000.0, 0.01, 160, walk=walk), volumes) < 1e-9


def test_price_of_a_million_with_noise_of_a_cent_keeps_seven_digits():
    assert worst(noisy(1e6, 0.01, 160), noisy(1e6, 1e5, 160)) < 1e-7


def test_a_power_of_two_between_the_prices_costs_no_digits():
    assert worst(noisy(65_536.0, 0.01, 160), noisy(1e6, 1e5, 160)) < 1e-9


def test_penny_prices_keep_nine_digits():
    closes = [price * 1e-6 for price in noisy(1.0, 0.01, 160)]
    assert worst(closes, noisy(1e6, 1e5, 160)) < 1e-9


def test_a_volume_spike_leaves_no_error_behind():
    volumes = [float(round(v)) for v in noisy(1e3, 50.0, 160)]
    volumes[80] = 1e12
    assert worst(noisy(100.0, 1.0, 160), volumes) < 1e-9


def test_a_straight_line_has_r2_of_one():
    made = newest(bars_of_closes([100.0 + 0.25 * i for i in range(64)]))
    assert (made["r2_20"], made["r2_60"]) == pytest.approx((1.0, 1.0), rel=1e-14)
    assert made["slope_20"] == pytest.approx(0.25 / 115.75, rel=1e-14)


@pytest.mark.parametrize("level", [1e-6, 0.1, 1.0 / 3.0, 60_000.01, 123_456.789, 1e12 / 7.0])
def test_a_constant_series_deviates_by_nothing(level: float):
    made = newest(bars_of_closes([level] * 70, [level] * 70))
    zero = {name for name, value in made.items() if value == 0.0}
    null = {name for name, value in made.items() if value is None}
    assert zero >= {
        "return_60", "volatility_20", "bollinger_width_20", "slope_60", "macd", "macd_histogram",
        "sma_gap_20", "atr_ratio_14", "parkinson_20", "drawdown_60",
    }  # fmt: skip
    assert null == {
        "close_in_range", "volatility_ratio_5_60", "range_expansion_14", "downside_share_20",
        "skew_20", "rsi_14", "bollinger_position_20", "zscore_60", "r2_20", "r2_60", "donchian_20",
        "donchian_60", "stochastic_k_14", "stochastic_d_14_3", "williams_r_28", "cci_14",
        "volume_zscore_20", "close_volume_correlation_20", "money_flow_14",
    }  # fmt: skip


def test_zero_volume_is_null_or_bounded():
    bars = random_bars(rows=200)
    silent = bars.with_columns(volume=bars["volume"] * 0.0)
    made = newest(silent)
    assert {n for n, value in made.items() if value is None} == {
        "volume_ratio_20", "volume_ratio_5_60", "volume_zscore_20",
        "close_volume_correlation_20", "signed_volume_20", "money_flow_14",
    }  # fmt: skip
    assert all(abs(value) < 1e3 for value in made.values() if value is not None)


def test_volumes_of_zero_among_others_stay_in_range():
    volumes = [0.0 if i % 3 else 1e6 for i in range(200)]
    made = compute(bars_of_closes(noisy(100.0, 1.0, 200), volumes), CORE)
    for feature in CORE.features:
        values = made[feature.name].drop_nulls()
        assert values.is_finite().all()
        assert values.abs().max() is None or values.abs().max() < 1e4


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e9])
def test_every_value_lies_in_its_declared_range(scale: float):
    bars = random_bars(rows=1500, price=scale, volatility=0.08)
    made = compute(bars, CORE)
    for feature in CORE.features:
        values = made[feature.name].drop_nulls()
        assert values.len() > 1000
        assert feature.low is None or values.min() >= feature.low, feature.name
        assert feature.high is None or values.max() <= feature.high, feature.name


@pytest.mark.parametrize("volatility", [1e-6, 0.02, 0.2])
def test_every_feature_is_its_formula_in_plain_python(volatility: float):
    bars = random_bars(rows=120, seed=5, volatility=volatility)
    made = compute(bars, CORE)
    for end in (64, 65, 91, 120):
        exact = reference.features(bars.head(end))
        assert set(exact) == set(CORE.names)
        row = made.row(end - 1, named=True)
        for name, expected in exact.items():
            # In plain floats the reference itself loses digits of small differences.
            tiny = volatility * 1e-7
            assert math.isclose(row[name], expected, rel_tol=1e-7, abs_tol=tiny), (name, end)
