"""The newest bar alone: its body, its shadows, its prices against the close."""

import polars as pl

from mlengine.core.features.sets.alpha158.window_features import (
    CLOSE,
    EPSILON,
    HIGH,
    LOW,
    OPEN,
    SOURCE,
)
from mlengine.core.features.spec import Feature

PARTS: dict[str, pl.Expr] = {
    "body": CLOSE - OPEN,
    "length": HIGH - LOW,
    "width": pl.col("length") + EPSILON,
    "upper": HIGH - pl.when(OPEN > CLOSE).then(OPEN).otherwise(CLOSE),
    # The lesser as the greater of the negatives: NaN is above all numbers.
    "lower": -pl.when(-OPEN > -CLOSE).then(-OPEN).otherwise(-CLOSE) - LOW,
    "shift": 2.0 * CLOSE - HIGH - LOW,
}


def _candle(name: str, part: str, formula: str, doc: str, **limits: float) -> Feature:
    return Feature(
        name=name,
        expr=pl.col(part) / (pl.col("width") if name.endswith("2") else OPEN),
        formula=formula,
        bars=1,
        unit="share" if name.endswith("2") else "fraction",
        source=SOURCE,
        doc=doc,
        low=limits.get("low"),
        high=limits.get("high"),
        scale_free=not name.endswith("2"),
    )


def _price(name: str, price: pl.Expr, formula: str, doc: str) -> Feature:
    return Feature(
        name=name,
        expr=price / CLOSE,
        formula=formula,
        bars=1,
        unit="ratio",
        source=SOURCE,
        doc=doc,
        low=0.0,
    )


FEATURES = (
    _candle("KMID", "body", "(close - open) / open", "Body of the bar against the open.", low=-1.0),
    _candle("KLEN", "length", "(high - low) / open", "Range of the bar against the open.", low=0.0),
    _candle(
        "KMID2", "body", "(close - open) / (high - low + 1e-12)", "Body as a share of the range.",
        low=-1.0, high=1.0,
    ),
    _candle(
        "KUP", "upper", "(high - max(open, close)) / open", "Upper shadow against the open.",
        low=0.0,
    ),
    _candle(
        "KUP2", "upper", "(high - max(open, close)) / (high - low + 1e-12)",
        "Upper shadow as a share of the range.", low=0.0, high=1.0,
    ),
    _candle(
        "KLOW", "lower", "(min(open, close) - low) / open", "Lower shadow against the open.",
        low=0.0, high=1.0,
    ),
    _candle(
        "KLOW2", "lower", "(min(open, close) - low) / (high - low + 1e-12)",
        "Lower shadow as a share of the range.", low=0.0, high=1.0,
    ),
    _candle(
        "KSFT", "shift", "(2 close - high - low) / open",
        "Twice the close's distance from the middle of the range, against the open.",
    ),
    _candle(
        "KSFT2", "shift", "(2 close - high - low) / (high - low + 1e-12)",
        "Place of the close in the range, from -1 to 1.", low=-1.0, high=1.0,
    ),
    _price("OPEN0", OPEN, "open / close", "Open against the close."),
    _price("HIGH0", HIGH, "high / close", "High against the close."),
    _price("LOW0", LOW, "low / close", "Low against the close."),
    _price(
        "VWAP0", (HIGH + LOW + CLOSE) / 3.0, "(high + low + close) / 3 / close",
        "Typical price against the close; it stands for Qlib's volume-weighted average price.",
    ),
)  # fmt: skip
