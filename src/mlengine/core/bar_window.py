"""The bars behind one prediction, and what names them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from mlengine.core.bars import Columns, block_hash


@dataclass(frozen=True, eq=False)
class BarWindow:
    """The last bars of one symbol, oldest first (BARS_SCHEMA), known by their hash."""

    bars: pl.DataFrame
    bar_timestamp: datetime
    bars_hash: str

    @classmethod
    def of(cls, bars: pl.DataFrame, columns: Columns) -> BarWindow:
        """`bars` of one symbol, at least one, and the same as arrays."""
        return cls(bars, columns.newest, block_hash(columns))
