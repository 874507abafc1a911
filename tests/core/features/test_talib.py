"""The indicators behind `core` against TA-Lib, an implementation by others.

Core's features are ratios of indicators, so each test makes the same quantity of both. Differences
are relative. A quantity that crosses zero is the small rest of far larger terms, and there both
libraries have only the digits of those terms: its error is taken against a natural unit of the
quantity, said beside it, once the value is smaller than that unit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
import talib
from tests.core.features.frames import newest
from tests.factories import random_bars

from mlengine.core.features import CORE, compute

Values = np.ndarray
W = CORE.window_bars
MARKETS = {
    "a share": random_bars(rows=900),
    "a calm index": random_bars(rows=900, price=4_000.0, volatility=0.006, seed=3),
    "a penny stock": random_bars(rows=900, price=0.04, volatility=0.06, seed=5),
}


class Prices(NamedTuple):
    high: Values
    low: Values
    close: Values
    volume: Values

    @classmethod
    def of(cls, bars: pl.DataFrame) -> Prices:
        return cls(*(bars[name].to_numpy() for name in cls._fields))


class Pair(NamedTuple):
    """The same quantity of both; `unit` is what errors of smaller values are taken against."""

    ours: Values
    theirs: Values
    unit: Values | float = 0.0

    @property
    def difference(self) -> float:
        ours, theirs, unit = (np.broadcast_to(x, self.ours.shape)[W - 1 :] for x in self)
        return float((np.abs(ours - theirs) / np.maximum(np.abs(theirs), unit)).max())


Core = Callable[[str], Values]


def sma(core: Core, p: Prices, bars: int) -> Pair:
    return Pair(p.close / (1.0 + core(f"sma_gap_{bars}")), talib.SMA(p.close, bars))


def deviation_20(core: Core, p: Prices) -> Pair:
    width = core("bollinger_width_20")
    return Pair(width * talib.SMA(p.close, 20) / 4.0, talib.STDDEV(p.close, 20, 1.0))


def zscore_60(core: Core, p: Prices) -> Pair:
    gap = p.close - talib.SMA(p.close, 60)
    return Pair(core("zscore_60"), gap / talib.STDDEV(p.close, 60, 1.0), unit=1.0)


def bollinger_position(core: Core, p: Prices) -> Pair:
    """From 0 at the lower to 1 at the upper band: the unit is the bands' distance."""
    upper, _, lower = talib.BBANDS(p.close, 20, 2.0, 2.0)
    return Pair(core("bollinger_position_20"), (p.close - lower) / (upper - lower), unit=1.0)


def bollinger_width(core: Core, p: Prices) -> Pair:
    upper, middle, lower = talib.BBANDS(p.close, 20, 2.0, 2.0)
    return Pair(core("bollinger_width_20"), (upper - lower) / middle)


def cci(core: Core, p: Prices) -> Pair:
    """The unit is a 67th of a mean deviation, Lambert's own 1."""
    return Pair(core("cci_14"), talib.CCI(p.high, p.low, p.close, 14), unit=1.0)


def slope(core: Core, p: Prices, bars: int) -> Pair:
    """The unit is the slope of a straight line with the same deviation, the steepest there is."""
    steepest = talib.STDDEV(p.close, bars, 1.0) * np.sqrt(12.0 / (bars**2 - 1))
    ours = core(f"slope_{bars}") * p.close
    return Pair(ours, talib.LINEARREG_SLOPE(p.close, bars), unit=steepest)


def straightness(core: Core, p: Prices, bars: int) -> Pair:
    steps = np.arange(p.close.size, dtype=float)
    return Pair(core(f"r2_{bars}"), talib.CORREL(p.close, steps, bars) ** 2, unit=1.0)


def correlation(core: Core, p: Prices) -> Pair:
    theirs = talib.CORREL(p.close, p.volume, 20)
    return Pair(core("close_volume_correlation_20"), theirs, unit=1.0)


SAME: dict[str, Callable[[Core, Prices], Pair]] = {
    "SMA 10": lambda core, p: sma(core, p, 10),
    "SMA 20": lambda core, p: sma(core, p, 20),
    "SMA 60": lambda core, p: sma(core, p, 60),
    "STDDEV 20": deviation_20,
    "STDDEV 60 in the z-score": zscore_60,
    "BBANDS, place between": bollinger_position,
    "BBANDS, width": bollinger_width,
    "WILLR": lambda core, p: Pair(core("williams_r_28"), talib.WILLR(p.high, p.low, p.close, 28)),
    "CCI": cci,
    "STOCH %K": lambda core, p: Pair(core("stochastic_k_14"), fast_stochastic(p)[0]),
    "STOCH %D": lambda core, p: Pair(core("stochastic_d_14_3"), fast_stochastic(p)[1]),
    "LINEARREG_SLOPE 20": lambda core, p: slope(core, p, 20),
    "LINEARREG_SLOPE 60": lambda core, p: slope(core, p, 60),
    "CORREL with time 20": lambda core, p: straightness(core, p, 20),
    "CORREL with time 60": lambda core, p: straightness(core, p, 60),
    "CORREL": correlation,
    "MFI": lambda core, p: Pair(core("money_flow_14"), talib.MFI(*p, 14), unit=1.0),
}


def fast_stochastic(p: Prices) -> tuple[Values, Values]:
    return talib.STOCHF(p.high, p.low, p.close, 14, 3, 0)


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("indicator", SAME)
def test_an_indicator_of_core_is_that_of_talib(indicator: str, market: str):
    bars = MARKETS[market]
    made = compute(bars, CORE)
    assert SAME[indicator](lambda name: made[name].to_numpy(), Prices.of(bars)).difference < 1e-9


# Different by design: TA-Lib starts Wilder's and exponential averages with a plain mean of the
# oldest bars, whose weight depends on where the history starts; core's fall off to the end of a
# fixed look-back. By feature: TA-Lib on the same last bars, and the most by which the two differ
# here, which docs/feature_peers.md tells.
DIFFERENT: dict[str, tuple[Callable[[Prices], float], float]] = {
    "rsi_14": (lambda p: talib.RSI(p.close, 14)[-1], 1.1),
    "atr_ratio_14": (lambda p: talib.ATR(*p[:3], 14)[-1] / p.close[-1], 1e-3),
    "macd": (lambda p: talib.MACD(p.close)[0][-1] / p.close[-1], 2e-2),
    "macd_histogram": (lambda p: talib.MACD(p.close)[2][-1] / p.close[-1], 2e-2),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_averages_with_another_start_differ_by_what_the_documents_say(name: str):
    theirs, most = DIFFERENT[name]
    for bars in MARKETS.values():
        made, p = compute(bars, CORE)[name].to_numpy(), Prices.of(bars)
        ends = range(W, bars.height + 1)
        windows = [Prices(*(x[end - W : end].copy() for x in p)) for end in ends]
        apart = np.abs(made[W - 1 :] - [theirs(window) for window in windows]).max()
        assert 1e-6 < apart < most


def flat_then(bars: int, *, market: str) -> pl.DataFrame:
    """A window whose oldest bars don't move: any way to start an average starts it alike."""
    window = MARKETS[market].tail(W)
    level = window["close"].item(bars - 1)
    still = pl.int_range(pl.len()) < bars
    prices = pl.col("open", "high", "low", "close")
    return window.with_columns(pl.when(still).then(level).otherwise(prices).name.keep())


@pytest.mark.parametrize("market", MARKETS)
def test_rsi_is_that_of_talib_where_both_start_alike(market: str):
    bars = flat_then(15, market=market)
    theirs = talib.RSI(bars["close"].to_numpy(), 14)[-1]
    assert newest(bars)["rsi_14"] == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("market", MARKETS)
def test_the_true_range_is_that_of_talib_but_for_the_weight_of_forgotten_bars(market: str):
    bars = flat_then(15, market=market)
    p, kept = Prices.of(bars), 1.0 - (13 / 14) ** 63
    theirs = talib.ATR(*p[:3], 14)[-1] / kept / p.close[-1]
    assert newest(bars)["atr_ratio_14"] == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("market", MARKETS)
def test_macd_is_that_of_talib_but_for_the_weight_of_forgotten_bars(market: str):
    bars = flat_then(26, market=market)
    close = bars["close"].to_numpy()
    level = close[0]
    fast, slow = (
        (talib.EMA(close, bars)[-1] - level) / (1.0 - (1.0 - 2.0 / (bars + 1)) ** 54)
        for bars in (12, 26)
    )
    made = newest(bars)["macd"]
    # Of two averages that nearly cancel, in units of the larger one.
    assert made * close[-1] == pytest.approx(fast - slow, abs=1e-9 * max(abs(fast), abs(slow)))
