"""Bars whose truth is known: random walks that move together, and walks with a planted signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from mlengine.core.bars.bars import BARS_SCHEMA
from mlengine.core.metrics import auc

Floats = npt.NDArray[np.float64]
VOLATILITY = 0.015


@dataclass(frozen=True)
class Planted:
    """`truth` (symbol, timestamp, truth) ranks the chance of a rise, as it is known at each bar."""

    bars: pl.DataFrame
    truth: pl.DataFrame


def random_bars(symbols: int, bars: int, *, correlation: float, seed: int) -> pl.DataFrame:
    """Independent returns over time, correlated between symbols: no score has an edge."""
    rng = np.random.default_rng(seed)
    return _panel(VOLATILITY * _moves(rng, symbols, bars, correlation), rng)


def planted_next_bar(symbols: int, bars: int, *, strength: float, seed: int) -> Planted:
    """The size of a move is random, its sign depends on the last move z of the same symbol.

    P(up) = 1 / (1 + exp(-strength z)), z in standard deviations. Sizes are half-normal and don't
    depend on the signs, so that z stays standard normal whatever the strength.
    """
    rng = np.random.default_rng(seed)
    sizes, chances = np.abs(rng.normal(size=(bars, symbols))), rng.random((bars, symbols))
    moves = np.empty((bars, symbols))
    last = rng.normal(size=symbols)
    for bar in range(bars):
        up = chances[bar] < 1.0 / (1.0 + np.exp(-strength * last))
        last = moves[bar] = np.where(up, sizes[bar], -sizes[bar])
    return _planted(_panel(VOLATILITY * moves, rng), moves)


def next_bar_auc(strength: float) -> float:
    """The AUC of z for the sign of the next move, by integration over the normal density.

    z given up has the density 2 phi(z) / (1 + exp(-strength z)), z given down its mirror image.
    """
    z = np.linspace(-9.0, 9.0, 20_001)
    density = np.exp(-z * z / 2.0) / np.sqrt(2.0 * np.pi)
    up = 2.0 * density / (1.0 + np.exp(-strength * z)) * (z[1] - z[0])
    down = up[::-1]
    return float(np.sum(up * (np.cumsum(down) - down / 2.0)))


def planted_trend(
    symbols: int, bars: int, *, strength: float, seed: int, correlation: float = 0.0
) -> Planted:
    """Each move drifts by `strength` tanh(z) deviations, z that of the last twenty moves' sum."""
    rng = np.random.default_rng(seed)
    noise = _moves(rng, symbols, bars, correlation)
    moves, truth = np.empty((bars, symbols)), np.empty((bars, symbols))
    sums = np.zeros(symbols)
    for bar in range(bars):
        drift = strength * np.tanh(sums / np.sqrt(20.0))
        moves[bar] = drift + noise[bar]
        sums = sums + moves[bar] - (moves[bar - 20] if bar >= 20 else 0.0)
        truth[bar] = sums
    return _planted(_panel(VOLATILITY * moves, rng), truth)


def trend_auc(strength: float, *, horizon_bars: int = 20) -> float:
    """The AUC of z for the sign of the next `horizon_bars` moves, on 1.2 million simulated ones."""
    planted = planted_trend(400, 3_000, strength=strength, seed=0)
    ahead = pl.col("close").shift(-horizon_bars).over("symbol") > pl.col("close")
    ups = planted.bars.select(ahead.cast(pl.Float64).alias("up"))["up"]
    known = ups.is_not_null()
    return auc(ups.filter(known).to_numpy(), planted.truth["truth"].filter(known).to_numpy())


def solved(of: Callable[[float], float], target: float, *, low: float, high: float) -> float:
    """Where a rising function takes `target`, by bisection."""
    while high - low > 1e-4:
        middle = (low + high) / 2.0
        low, high = (middle, high) if of(middle) < target else (low, middle)
    return (low + high) / 2.0


def _moves(rng: np.random.Generator, symbols: int, bars: int, correlation: float) -> Floats:
    """(bars, symbols) standard normal, independent over time."""
    common, own = rng.normal(size=(bars, 1)), rng.normal(size=(bars, symbols))
    return np.asarray(np.sqrt(correlation) * common + np.sqrt(1.0 - correlation) * own)


def _planted(bars: pl.DataFrame, truth: Floats) -> Planted:
    keys = bars.select("symbol", "timestamp")
    return Planted(bars, keys.with_columns(pl.Series("truth", truth.T.ravel())))


def _panel(returns: Floats, rng: np.random.Generator) -> pl.DataFrame:
    """Sane bars whose closes have these log returns, one symbol below the other."""
    bars, symbols = returns.shape
    close = 100.0 * np.exp(np.cumsum(returns, axis=0)).T
    open_ = close * np.exp(rng.normal(0.0, VOLATILITY / 3.0, close.shape))
    spans = 1.0 + np.abs(rng.normal(0.0, VOLATILITY / 2.0, (2, *close.shape)))
    columns = {
        "open": open_,
        "high": np.maximum(open_, close) * spans[0],
        "low": np.minimum(open_, close) / spans[1],
        "close": close,
        "volume": rng.lognormal(14.0, 0.5, close.shape),
    }
    days = np.datetime64("2005-01-03", "us") + np.arange(bars) * np.timedelta64(1, "D")
    return pl.DataFrame(
        {
            "symbol": np.repeat([f"S{i:03d}" for i in range(symbols)], bars),
            "timestamp": np.tile(days, symbols),
            **{name: values.ravel() for name, values in columns.items()},
        }
    ).with_columns(pl.col("timestamp").dt.replace_time_zone("UTC").cast(BARS_SCHEMA["timestamp"]))
