"""The bars behind one prediction, and what names them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from mlengine.core.bars import bars_hash


@dataclass(frozen=True, eq=False)
class BarWindow:
    """The last bars of one symbol, oldest first (BARS_SCHEMA), known by their hash."""

    bars: pl.DataFrame
    bar_timestamp: datetime
    bars_hash: str

    @classmethod
    def of(cls, bars: pl.DataFrame) -> BarWindow:
        """`bars` of one symbol, at least one; their newest is what is predicted from."""
        newest: datetime = bars["timestamp"][-1]
        return cls(bars, newest.astimezone(UTC), bars_hash(bars))
