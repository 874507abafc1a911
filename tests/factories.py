"""Bars and other small real things for tests; every one is made from a seed."""

from __future__ import annotations

import functools
from datetime import UTC, datetime

import numpy as np
import polars as pl

from mlengine.core.bars.intervals import INTERVALS

START = datetime(2020, 1, 1, tzinfo=UTC)


def random_bars(
    symbol: str = "AAA",
    *,
    rows: int = 300,
    seed: int = 7,
    start: datetime = START,
    interval: str = "1d",
    price: float = 100.0,
    volatility: float = 0.02,
) -> pl.DataFrame:
    """A geometric random walk of `rows` float64 bars with sane OHLC and no gaps."""
    return _random_bars(symbol, rows, seed, start, interval, price, volatility).clone()


@functools.lru_cache(maxsize=512)
def _random_bars(
    symbol: str,
    rows: int,
    seed: int,
    start: datetime,
    interval: str,
    price: float,
    volatility: float,
) -> pl.DataFrame:
    rng = np.random.default_rng([seed, *symbol.encode()])
    close = price * np.exp(np.cumsum(rng.normal(0.0, volatility, rows)))
    open_ = close * np.exp(rng.normal(0.0, volatility / 3, rows))
    high = np.maximum(open_, close) * (1.0 + np.abs(rng.normal(0.0, volatility / 2, rows)))
    low = np.minimum(open_, close) * (1.0 - np.abs(rng.normal(0.0, volatility / 2, rows)))
    step = INTERVALS[interval]
    return pl.DataFrame(
        {
            "symbol": [symbol] * rows,
            "timestamp": [start + step * i for i in range(rows)],
            "open": open_,
            "high": high,
            "low": low,
            "close": close,
            "volume": rng.lognormal(14.0, 0.5, rows),
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )


def panel(symbols: int = 4, *, rows: int = 300, seed: int = 7) -> pl.DataFrame:
    """Random bars of `S00`, `S01`, …, one below the other."""
    return pl.concat(random_bars(f"S{i:02d}", rows=rows, seed=seed + i) for i in range(symbols))
