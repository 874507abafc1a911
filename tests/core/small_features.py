"""A feature set of three features that needs little history, and a training that uses it."""

from __future__ import annotations

import polars as pl

from mlengine.core.features import Feature, FeatureSet
from mlengine.core.training.spec import TrainSpec

_CLOSE = pl.col("close")


def _feature(name: str, expr: pl.Expr, bars: int) -> Feature:
    return Feature(
        name=name,
        expr=expr,
        formula=f"{name} over {bars} bars",
        bars=bars,
        unit="ratio",
        source="test",
        low=None,
        high=None,
        doc=name,
    )


SMALL = FeatureSet(
    name="small",
    version=1,
    window_bars=6,
    features=(
        _feature("momentum_5", _CLOSE / _CLOSE.shift(5) - 1.0, 6),
        _feature("day_range", (pl.col("high") - pl.col("low")) / _CLOSE, 1),
        # Undefined where the price stands still.
        _feature("range_share", (_CLOSE - _CLOSE.shift(1)) / (_CLOSE - _CLOSE.shift(1)).abs(), 2),
    ),
)
# The same question asked of fewer features: another hash, another window.
SMALLER = FeatureSet(name="smaller", version=1, window_bars=2, features=SMALL.features[1:])

SPEC = TrainSpec(
    symbols=("S00", "S01", "S02"),
    lookback=0,
    test_size=0.2,
    seed=42,
    folds=2,
    horizon_bars=5,
    embargo_bars=0,
    objective="direction",
    feature_set="small",
    activate="if_better",
    refit="none",
    label_delay_bars=0,
    interval="1d",
)

FEATURE_SETS = (SMALL, SMALLER)
