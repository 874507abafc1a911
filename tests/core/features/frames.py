from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
from tests.factories import START

from mlengine.core.features import CORE, compute


def bits(frame: pl.DataFrame) -> np.ndarray:
    """The features' 64-bit patterns; null is one pattern of its own."""
    values = frame.select(pl.exclude("symbol", "timestamp").cast(pl.Float64)).to_numpy()
    return np.ascontiguousarray(values).view(np.uint64)


def bitwise_differences(left: pl.DataFrame, right: pl.DataFrame) -> int:
    """How many cells differ in any bit; the keys must be equal."""
    assert left.select("symbol", "timestamp").equals(right.select("symbol", "timestamp"))
    return int((bits(left) != bits(right)).sum())


def bars_of_closes(closes: list[float], volumes: list[float] | None = None) -> pl.DataFrame:
    """Bars whose four prices are the close, so that a constant series is wholly constant."""
    rows = len(closes)
    prices = dict.fromkeys(("open", "high", "low", "close"), closes)
    stamps = [START + timedelta(days=i) for i in range(rows)]
    keys = {"symbol": ["AAA"] * rows, "timestamp": stamps}
    return pl.DataFrame(
        {**keys, **prices, "volume": volumes or [1000.0] * rows},
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )


def newest(bars: pl.DataFrame) -> dict[str, float | None]:
    return compute(bars, CORE).tail(1).select(CORE.names).row(0, named=True)
