"""The bars behind one prediction, and what names them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlengine.core.bars.bars import Columns, block_hash


@dataclass(frozen=True, eq=False)
class BarWindow:
    """The last bars of one symbol, oldest first, known by their hash."""

    bars: Columns
    bar_timestamp: datetime
    bars_hash: str

    @classmethod
    def of(cls, bars: Columns) -> BarWindow:
        """`bars` of one symbol, at least one."""
        return cls(bars, bars.newest, block_hash(bars))
