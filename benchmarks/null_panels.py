"""Panels of daily bars on which no model has skill, and one on which some have: clustered moves.

Each date's moves have a random sign, whatever came before: nothing foretells a direction, while
volatility is as clustered, tails as heavy and symbols as correlated as in markets.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from mlengine.core.arrays import Floats
from mlengine.core.bars.bars import BARS_SCHEMA

SYMBOLS, CORRELATION, VOLATILITY = 12, 0.4, 0.015
# GARCH(1,1) of t3 shocks: half of a shock to the variance is left after 34 days.
SHOCK, PERSISTENCE = 0.08, 0.90
BLOCK_DATES, MARKETS = 60, 4
NULL_PANELS = ("t3-garch", "four stamps a day", "crypto with stocks", "real dates")
_DAY = np.timedelta64(1, "D")


def null_panel(kind: str, dates: int, *, seed: int, real: Floats | None = None) -> pl.DataFrame:
    """The bars of one of `NULL_PANELS`; `real` are log returns (dates, symbols) of a market."""
    rng = np.random.default_rng(seed)
    if kind == "real dates":
        assert real is not None
        return bars_of(_permuted(rng, real, dates), rng)
    moves = clustered(rng, dates)
    if kind == "four stamps a day":
        return bars_of(moves, rng, hours=np.arange(SYMBOLS) % MARKETS * (24 // MARKETS))
    if kind == "crypto with stocks":
        return bars_of(moves, rng, weekdays_only=np.arange(SYMBOLS) % 2 == 1)
    return bars_of(moves, rng)


def clustered(rng: np.random.Generator, dates: int, *, shock: float = SHOCK) -> Floats:
    """(dates, symbols) log returns: GARCH of t3 shocks with a common part; 0 is no clustering.

    Without `shock` they are Gaussian.
    """
    shape = (dates, SYMBOLS + 1)
    drawn = rng.standard_t(3, shape) / np.sqrt(3.0) if shock else rng.standard_normal(shape)
    shocks = np.sqrt(CORRELATION) * drawn[:, :1] + np.sqrt(1.0 - CORRELATION) * drawn[:, 1:]
    if not shock:
        return VOLATILITY * shocks
    variance = np.ones((dates, SYMBOLS))
    for date in range(1, dates):
        past = variance[date - 1] * np.square(shocks[date - 1])
        variance[date] = (
            (1.0 - SHOCK - PERSISTENCE) + SHOCK * past + PERSISTENCE * variance[date - 1]
        )
    return VOLATILITY * np.sqrt(variance) * shocks


def planted(rng: np.random.Generator, moves: Floats, *, strength: float) -> Floats:
    """The same sizes; a move's sign follows that of the day before with 1/2 + strength * tanh(z).

    z is the last move in deviations of the symbol's own. A sign is turned around, not drawn anew,
    so that symbols stay correlated.
    """
    moved = moves.copy()
    scale = moves.std(axis=0)
    chance = rng.random(moves.shape)
    for date in range(1, len(moves)):
        before = moved[date - 1]
        turn = 2.0 * strength * np.abs(np.tanh(before / scale))
        against = moved[date] * before < 0.0
        moved[date] = np.where(against & (chance[date] < turn), -moved[date], moved[date])
    return moved


def real_moves(path: Path) -> Floats:
    """Log returns (dates, symbols) of the symbols with a bar on every date of a file."""
    bars = pl.read_parquet(path)
    counts = bars.group_by("symbol").len()
    full = counts.filter(pl.col("len") == counts["len"].max())["symbol"]
    bars = bars.filter(pl.col("symbol").is_in(full.implode())).sort("timestamp", "symbol")
    return np.diff(np.log(bars["close"].to_numpy().reshape(-1, len(full))), axis=0)


def _permuted(rng: np.random.Generator, real: Floats, dates: int) -> Floats:
    """Blocks of sixty dates of a few symbols, each date's moves with one random sign."""
    starts = rng.integers(0, len(real) - BLOCK_DATES, -(-dates // BLOCK_DATES))
    order = (starts[:, None] + np.arange(BLOCK_DATES)).ravel()[:dates]
    moves = real[order][:, rng.permutation(real.shape[1])[:SYMBOLS]]
    return moves * rng.choice([-1.0, 1.0], dates)[:, None]


def bars_of(
    moves: Floats,
    rng: np.random.Generator,
    *,
    hours: Floats | None = None,
    weekdays_only: Floats | None = None,
) -> pl.DataFrame:
    """Bars whose closes have these log returns, one symbol below the other.

    `hours` is when a symbol's bars begin, `weekdays_only` whether it has none on Saturdays.
    """
    dates = len(moves)
    days = np.datetime64("2005-01-03", "us") + np.arange(dates) * _DAY
    weekend = np.arange(dates) % 7 >= 5
    parts = []
    for symbol in range(moves.shape[1]):
        kept = ~weekend if weekdays_only is not None and weekdays_only[symbol] else slice(None)
        close = 100.0 * np.exp(np.cumsum(moves[kept, symbol]))
        stamps = days[kept] + (0 if hours is None else hours[symbol]) * np.timedelta64(1, "h")
        parts.append(pl.DataFrame(_columns(f"S{symbol:03d}", stamps, close, rng)))
    return pl.concat(parts).with_columns(
        pl.col("timestamp").dt.replace_time_zone("UTC").cast(BARS_SCHEMA["timestamp"])
    )


def _columns(
    symbol: str, stamps: np.ndarray, close: Floats, rng: np.random.Generator
) -> Mapping[str, object]:
    before = np.concatenate([[100.0], close[:-1]])
    spans = 1.0 + np.abs(rng.normal(0.0, VOLATILITY / 2.0, (2, len(close))))
    return {
        "symbol": np.repeat(symbol, len(close)),
        "timestamp": stamps,
        "open": before,
        "high": np.maximum(before, close) * spans[0],
        "low": np.minimum(before, close) / spans[1],
        "close": close,
        "volume": rng.lognormal(14.0, 0.5, len(close)),
    }
