"""Panels of daily bars whose changes are known: stationary ones, and ones that break at a date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from mlengine.core.arrays import Floats
from mlengine.core.features import CORE, compute
from mlengine.core.monitoring.drift.tallies import PanelRows

SYMBOLS, CORRELATION, VOLATILITY = 12, 0.4, 0.015
# Daily GARCH(1,1) as it is found on indices: half of a shock to the variance is left after 34 days.
SHOCK, PERSISTENCE = 0.08, 0.90
SHAPE = ("open", "high", "low", "close", "volume")
BLOCK_DATES = 60
STREAMS = ("iid", "garch", "real")
FEATURES = tuple(each.name for each in CORE.features if each.scale_free)
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Stream:
    """Bars as ratios (dates, symbols, 5): to the close before, and volume as a level.

    `common` (dates,) and `own` (dates, symbols) are the two parts of the log return.
    """

    ratios: Floats
    common: Floats | None = None
    own: Floats | None = None

    def rows(self, first: int = 0) -> PanelRows:
        """The watched features of the dates from `first` on, which needs a window before it."""
        prices = _prices(self.ratios)
        frame = compute(_bars(prices, self.ratios[:, :, 4]), CORE)
        return rows_of(frame.filter(pl.col("timestamp") >= _day(first)))

    def from_date(self, first: int, ratios: Floats) -> Stream:
        """The same until `first`, then these ratios."""
        return Stream(np.concatenate([self.ratios[:first], ratios[first:]]))


def rows_of(frame: pl.DataFrame) -> PanelRows:
    """Rows of `compute` with a full window, as arrays."""
    frame = frame.filter(pl.any_horizontal(pl.col(FEATURES).is_not_null()))
    return PanelRows(
        frame.select(pl.col(FEATURES).fill_null(float("nan"))).to_numpy(),
        frame["timestamp"].dt.epoch("d").cast(pl.Int64).to_numpy(),
        frame["symbol"].cast(pl.Categorical).to_physical().cast(pl.Int64).to_numpy(),
    )


def draw(kind: str, dates: int, *, seed: int, real: Floats | None = None) -> Stream:
    """A stationary stream: `iid`, `garch`, or `real` ratios by blocks of sixty dates."""
    rng = np.random.default_rng(seed)
    if kind == "real":
        assert real is not None
        blocks = -(-dates // BLOCK_DATES)
        starts = rng.integers(1, len(real) - BLOCK_DATES, blocks)
        order = (starts[:, None] + np.arange(BLOCK_DATES)).ravel()[:dates]
        symbols = rng.permutation(real.shape[1])[:SYMBOLS]
        return Stream(real[order][:, symbols])
    deviations, moves = _moves(rng, kind, dates)
    common = np.sqrt(CORRELATION) * moves[:, 0]
    own = np.sqrt(1.0 - CORRELATION) * moves[:, 1:]
    return _with_shapes(rng, common, own, deviations[:, 1:])


def doubled(stream: Stream, first: int) -> Stream:
    """Every log ratio of prices twice as large from `first` on."""
    ratios = stream.ratios.copy()
    ratios[:, :, :4] = np.square(ratios[:, :, :4])
    return stream.from_date(first, ratios)


def unrelated(stream: Stream, first: int, *, seed: int) -> Stream:
    """Each symbol with a common part of its own from `first` on; its volatility stays."""
    assert stream.common is not None
    rng = np.random.default_rng(seed)
    dates = len(stream.ratios)
    parts = [stream.common[rng.permutation(dates)] for _ in range(stream.ratios.shape[1])]
    change = np.exp(np.stack(parts, axis=1) - stream.common[:, None])
    ratios = stream.ratios.copy()
    body = ratios[:, :, 3] * change
    for at in (1, 2):
        ratios[:, :, at] *= np.sqrt(change)
    ratios[:, :, 3] = body
    ratios[:, :, 1] = np.maximum(ratios[:, :, 1], np.maximum(ratios[:, :, 0], body))
    ratios[:, :, 2] = np.minimum(ratios[:, :, 2], np.minimum(ratios[:, :, 0], body))
    return stream.from_date(first, ratios)


def frozen(rows: PanelRows, feature: str, since: int) -> PanelRows:
    """One feature stays as it was for each symbol on the date `since`."""
    values, at = rows.values.copy(), FEATURES.index(feature)
    for symbol in np.unique(rows.symbols):
        own = rows.symbols == symbol
        values[own & (rows.dates >= since), at] = values[own & (rows.dates == since), at]
    return PanelRows(values, rows.dates, rows.symbols)


def real_ratios(bars: pl.DataFrame) -> Floats:
    """(dates, symbols, 5) of the dates on which every symbol with a full history has a bar."""
    counts = bars.group_by("symbol").len()
    full = counts.filter(pl.col("len") == counts["len"].max())["symbol"]
    bars = bars.filter(pl.col("symbol").is_in(full.implode())).sort("timestamp", "symbol")
    table = bars.select(SHAPE).to_numpy().reshape(-1, len(full), 5)
    ratios = np.ones_like(table)
    ratios[1:, :, :4] = table[1:, :, :4] / table[:-1, :, 3:4]
    # Volume against its median of a year, as its level is no stationary thing.
    for date in range(len(table)):
        year = table[max(date - 251, 0) : date + 1, :, 4]
        ratios[date, :, 4] = table[date, :, 4] / np.median(year, axis=0)
    return ratios


def _moves(rng: np.random.Generator, kind: str, dates: int) -> tuple[Floats, Floats]:
    """Deviations and moves (dates, 1 + symbols), the common part first."""
    normal = rng.standard_normal((dates, SYMBOLS + 1))
    variance = np.ones_like(normal)
    if kind == "garch":
        now = np.ones(SYMBOLS + 1)
        for date in range(1, dates):
            past = now * np.square(normal[date - 1])
            now = (1.0 - SHOCK - PERSISTENCE) + SHOCK * past + PERSISTENCE * now
            variance[date] = now
    deviations = VOLATILITY * np.sqrt(variance)
    return deviations, deviations * normal


def _with_shapes(rng: np.random.Generator, common: Floats, own: Floats, spans: Floats) -> Stream:
    """Opens, highs and lows about closes with these log returns, and volumes."""
    close = common[:, None] + own
    open_ = spans / 3.0 * rng.standard_normal(close.shape)
    reach = np.abs(spans / 2.0 * rng.standard_normal((2, *close.shape)))
    logs = [open_, np.maximum(open_, close) + reach[0], np.minimum(open_, close) - reach[1], close]
    volume = rng.lognormal(14.0, 0.5, close.shape)
    return Stream(np.stack([*np.exp(logs), volume], axis=2), common, own)


def _prices(ratios: Floats) -> Floats:
    """(dates, symbols, 4), where a ratio is to the close before."""
    close = 100.0 * np.cumprod(ratios[:, :, 3], axis=0)
    before = np.concatenate([np.full((1, close.shape[1]), 100.0), close[:-1]])
    prices = before[:, :, None] * ratios[:, :, :4]
    prices[:, :, 3] = close
    return prices


def _bars(prices: Floats, volume: Floats) -> pl.DataFrame:
    dates, symbols = volume.shape
    days = np.datetime64("2005-01-03", "us") + np.arange(dates) * np.timedelta64(1, "D")
    columns: Sequence[Floats] = [*np.moveaxis(prices, 2, 0), volume]
    return pl.DataFrame(
        {
            "symbol": np.repeat([f"S{at:03d}" for at in range(symbols)], dates),
            "timestamp": np.tile(days, symbols),
            **{name: values.T.ravel() for name, values in zip(SHAPE, columns, strict=True)},
        }
    ).with_columns(pl.col("timestamp").dt.replace_time_zone("UTC"))


def _day(date: int) -> pl.Expr:
    return pl.lit(
        np.datetime64("2005-01-03", "us") + date * np.timedelta64(1, "D")
    ).dt.replace_time_zone("UTC")
