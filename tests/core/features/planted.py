"""Feature sets with a planted leak each, as a user might write them, and clean ones."""

from __future__ import annotations

import polars as pl

from mlengine.core.features import Feature, FeatureSet
from mlengine.core.features.kernels import (
    change_ratio,
    ema_weights,
    highest,
    lag,
    lowest,
    mean,
    total,
    weighted_sum,
)

CLOSE, HIGH, LOW, VOLUME = (pl.col(name) for name in ("close", "high", "low", "volume"))
WEEKDAY = pl.col("timestamp").dt.weekday()
KNOWN_CLOSE = CLOSE.fill_nan(None)
WINDOW = 30


def feature(name: str, expr: pl.Expr, bars: int, *, scale_free: bool = False) -> Feature:
    return Feature(
        name=name,
        expr=expr,
        formula=name,
        bars=bars,
        unit="none",
        source="test",
        doc="A test.",
        scale_free=scale_free,
    )


def a_set(name: str, *features: Feature, parts: dict[str, pl.Expr] | None = None) -> FeatureSet:
    return FeatureSet(
        name=name, version=1, window_bars=WINDOW, features=features, parts=parts or {}
    )


HONEST = feature("honest", change_ratio(CLOSE, lag(CLOSE, bars=5)), 6)


def planted(expr: pl.Expr, bars: int, parts: dict[str, pl.Expr] | None = None) -> FeatureSet:
    """A set of an honest feature and a leaking one."""
    return a_set("planted", HONEST, feature("leak", expr, bars), parts=parts)


_ROLLING_20 = CLOSE.rolling_mean(20, weights=[0.05] * 20, min_samples=5)

# By kind of leak: the test that must fail, and several ways to write it.
LEAKS: dict[str, tuple[str, tuple[FeatureSet, ...]]] = {
    "a centred window": (
        "future",
        (
            planted(CLOSE.rolling_max(5, center=True) / CLOSE, 5),
            planted(CLOSE.rolling_mean(5, center=True) / CLOSE, 5),
            planted(CLOSE / pl.col("mid"), 9, {"mid": LOW.rolling_min(9, center=True)}),
            planted(CLOSE / pl.col("mid"), 9, {"mid": HIGH.rolling_max(9, center=True).shift(1)}),
            planted(CLOSE.rolling_max(5).shift(-2) / CLOSE, 5),
            planted(CLOSE.reverse().rolling_max(5).reverse() / CLOSE, 5),
        ),
    ),
    "shift(-1)": (
        "future",
        (
            planted(CLOSE.shift(-1) / CLOSE, 2),
            planted(CLOSE.shift(-1).over("symbol") / CLOSE, 2),
            planted(CLOSE.shift(-1, fill_value=1.0) > CLOSE, 2),
            planted(CLOSE.pct_change(-3), 4),
            # Only where volume is high: on few rows.
            planted(pl.when(VOLUME > 3e6).then(CLOSE.shift(-1) / CLOSE).otherwise(CLOSE / LOW), 2),
            # Only on Fridays; only without trade; only in a flag; through a Python function.
            planted(pl.when(WEEKDAY == 5).then(CLOSE.shift(-1) / CLOSE).otherwise(CLOSE / LOW), 2),
            planted(pl.when(VOLUME == 0).then(CLOSE.shift(-1) / CLOSE).otherwise(CLOSE / LOW), 2),
            planted((CLOSE.shift(-1) < 0.95 * CLOSE).cast(pl.Float64), 2),
            planted(CLOSE.map_batches(lambda s: s.shift(-1), return_dtype=pl.Float64) / CLOSE, 2),
            planted(CLOSE.peak_max().cast(pl.Float64), 2),
        ),
    ),
    "a fill from the future": (
        "future",
        (
            planted(KNOWN_CLOSE.backward_fill() / HIGH, 1),
            planted(CLOSE.fill_null(strategy="backward") / HIGH, 1),
            planted(pl.when(HIGH > LOW).then(CLOSE / LOW).backward_fill(limit=3), 1),
            planted(VOLUME.fill_nan(None).interpolate() / lag(VOLUME, bars=1), 2),
            planted(CLOSE / pl.col("filled"), 2, {"filled": CLOSE.shift(1).backward_fill()}),
            planted(CLOSE.fill_nan(CLOSE.shift(-1)) / HIGH, 1),
            planted(KNOWN_CLOSE.reverse().forward_fill().reverse() / HIGH, 1),
            planted(KNOWN_CLOSE.fill_null(KNOWN_CLOSE.mean()) / HIGH, 1),
        ),
    ),
    "whole-frame scaling": (
        "future",
        (
            planted((CLOSE - CLOSE.mean()) / CLOSE.std(), 1),
            planted((CLOSE - CLOSE.mean().over("symbol")) / CLOSE.std().over("symbol"), 1),
            planted(CLOSE.rank() / pl.len(), 1),
            planted(VOLUME / VOLUME.max(), 1),
            planted(CLOSE / CLOSE.mean().over(pl.col("timestamp").dt.year()), 1),
            planted(CLOSE.cum_sum(reverse=True) / CLOSE, 1),
        ),
    ),
    "an EMA without truncation": (
        "window",
        (
            planted(CLOSE / CLOSE.ewm_mean(span=20), 30),
            planted(CLOSE / CLOSE.ewm_mean(span=20, adjust=False, min_samples=20), 30),
            planted(CLOSE / CLOSE.ewm_mean(span=3).over("symbol"), 30),
            # All but forgotten within the window: only other bars before it show it.
            planted(CLOSE / CLOSE.ewm_mean(alpha=0.9), 30),
            planted(CLOSE / CLOSE.ewm_mean(alpha=0.99, adjust=False), 30),
            planted(CLOSE / CLOSE.ewm_mean_by("timestamp", half_life="2d"), 30),
        ),
    ),
    "min_periods below the window": (
        "partial",
        (
            planted(CLOSE / CLOSE.rolling_max(20, min_samples=1), 20),
            planted(CLOSE / _ROLLING_20, 20),
            planted(LOW.rolling_quantile(0.5, window_size=30, min_samples=29) / CLOSE, 30),
            planted(CLOSE.rolling_max(20).backward_fill() / CLOSE, 20),
            # One bar less: the value is another only where the oldest bar is the extreme one.
            planted(CLOSE.rolling_max(20, min_samples=19) / CLOSE, 20),
            planted(LOW.rolling_min(30, min_samples=29).over("symbol") / CLOSE, 30),
            planted(pl.max_horizontal(CLOSE.shift(age) for age in range(20)) / CLOSE, 20),
            planted(CLOSE.shift(29).fill_null(CLOSE) / CLOSE, 30),
        ),
    ),
    "state carried over from one symbol to the next": (
        "panel",
        (
            planted(CLOSE.cum_max() / CLOSE, 30),
            planted(VOLUME.cum_sum() / VOLUME, 1),
            planted(CLOSE / CLOSE.shift(40), 30),
            planted(CLOSE / CLOSE.first(), 1),
            planted(pl.int_range(pl.len()).cast(pl.Float64), 1),
            planted(CLOSE.diff(30) / CLOSE, 30),
            planted(pl.col("symbol").rank("dense").cast(pl.Float64), 1),
        ),
    ),
}

OTHERS: dict[str, tuple[str, FeatureSet]] = {
    "a running mean": ("window", planted(CLOSE / CLOSE.rolling_mean(20), 20)),
    "a flag for the one highest of the whole frame": (
        "window",
        planted(VOLUME.gt(VOLUME.quantile(0.999, "linear")).cast(pl.Float64), 1),
    ),
    "a leak only in rows beyond those of the check": (
        "window",
        planted(
            pl.when(pl.int_range(pl.len()).over("symbol") > 500)
            .then(CLOSE.shift(-1) / CLOSE)
            .otherwise(CLOSE / LOW),
            2,
        ),
    ),
    "a leak only in frames longer than that of the check": (
        "future",
        planted(pl.when(pl.len() > 2_000).then(CLOSE.shift(-1)).otherwise(CLOSE) / LOW, 2),
    ),
    "a fill over all gaps": ("window", planted(KNOWN_CLOSE.forward_fill() / LOW.max(), 1)),
    "a mean of all symbols": ("panel", planted(CLOSE / CLOSE.mean().over("timestamp"), 1)),
    "too short a look-back": ("look-back", planted(CLOSE / lag(CLOSE, bars=5), 5)),
    "chance": ("repeat", planted(CLOSE.shuffle() / LOW, 1)),
    "a column that isn't there": ("evaluation", planted(pl.col("vwap") / CLOSE, 1)),
    "text": ("evaluation", planted(pl.col("symbol"), 1)),
    "a kernel that is given nulls": ("evaluation", planted(mean(CLOSE.shift(1), bars=3), 4)),
}

# No leaks, but values made of nothing where bars are missing.
CARELESS: tuple[FeatureSet, ...] = (
    planted((CLOSE / LOW).fill_nan(0.0), 1),
    planted((HIGH > CLOSE).cast(pl.Float64), 1),
    planted(CLOSE.rolling_rank(10) / 10.0, 10),
)

CLEAN: tuple[FeatureSet, ...] = (
    a_set(
        "kernels",
        HONEST,
        feature("sma_gap", CLOSE / mean(CLOSE, bars=20), 20),
        feature("ema", weighted_sum(CLOSE, weights=ema_weights(alpha=0.2, bars=30)) / CLOSE, 30),
        feature("channel", (CLOSE - lowest(LOW, bars=14)) / highest(HIGH, bars=14), 14),
        feature("turnover", VOLUME / total(VOLUME, bars=20), 20),
    ),
    a_set(
        "plain Polars",
        feature("by_symbol", CLOSE / CLOSE.shift(3).over("symbol"), 4),
        feature("median", CLOSE.rolling_quantile(0.5, window_size=15) / CLOSE, 15),
        feature("up", (CLOSE.shift(1) < CLOSE).cast(pl.Float64) + CLOSE * 0.0, 2),
        feature("python", CLOSE.map_batches(lambda s: s * 2.0, return_dtype=pl.Float64), 1),
        feature("log", (CLOSE / CLOSE.shift(1)).log(), 2),
    ),
    a_set(
        "calendar and whole numbers",
        feature("weekday", pl.col("timestamp").dt.weekday(), 1),
        feature("month_end", pl.col("timestamp").dt.month_end() == pl.col("timestamp"), 1),
        feature("rising", CLOSE.diff().sign().cast(pl.Int8, strict=False), 2),
    ),
    a_set(
        "more declared than needed, guards and parts",
        feature("body", CLOSE / pl.col("open"), 30),
        feature("guarded", pl.when(HIGH > LOW).then((CLOSE - LOW) / (HIGH - LOW)), 1),
        feature("calm", pl.col("range:10") / pl.col("range:20"), 20),
        parts={
            "range": HIGH - LOW,
            **{f"range:{bars}": mean(pl.col("range"), bars=bars) for bars in (10, 20)},
        },
    ),
)
