"""Bars: what they are, what was known when, and the hash of a window."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from mlengine.core.intervals import EPOCH, INTERVALS

PRICES = ("open", "high", "low", "close")
VALUES = (*PRICES, "volume")
MOMENT = pl.Datetime("us", "UTC")
BARS_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "timestamp": MOMENT,
    **dict.fromkeys(VALUES, pl.Float64()),
}
# As served: `timestamp` is null where it could not be read, the last two where nothing was said.
RAW_SCHEMA: dict[str, pl.DataType] = {
    **BARS_SCHEMA,
    "final": pl.Boolean(),
    "closes_at": MOMENT,
}

# Reasons that come with time, not from a fault of the upstream.
NOT_YET = frozenset({"unfinished"})


@dataclass(frozen=True)
class BarsReport:
    """What became of the candles of one answer: how many of each verdict."""

    accepted: int
    mended: Mapping[str, int]
    dropped: Mapping[str, int]

    @property
    def rejected(self) -> int:
        """Dropped candles that say something bad about the upstream."""
        return sum(count for reason, count in self.dropped.items() if reason not in NOT_YET)


NO_CANDLES = BarsReport(0, {}, {})


@dataclass(frozen=True)
class CleanBars:
    """Final bars of one symbol in BARS_SCHEMA, oldest first, one a timestamp."""

    frame: pl.DataFrame
    report: BarsReport


def known_at(frame: pl.DataFrame, *, interval: str, as_of: datetime) -> pl.DataFrame:
    """The bars with `timestamp + interval <= as_of`."""
    return frame.filter(pl.col("timestamp") + INTERVALS[interval] <= as_of)


def bars_hash(frame: pl.DataFrame) -> str:
    """SHA-256 (hex) of one symbol's bars in the order given.

    Over the symbol (UTF-8, after its length), the row count, the timestamps as int64
    microseconds and the five float64 columns, each little endian. -0.0 counts as 0.0, null and
    every NaN as one NaN. Raises ValueError on more than one symbol.
    """
    if frame["symbol"].n_unique() > 1:
        raise ValueError("bars_hash takes the bars of one symbol")
    return block_hash(columns_of(frame)) if frame.height else hashlib.sha256().hexdigest()


@dataclass(frozen=True, eq=False)
class Columns:
    """One symbol's bars as arrays, in the form that is hashed: starts int64, values (5, rows)."""

    symbol: str
    starts: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]

    @property
    def newest(self) -> datetime:
        """When the last bar, which there must be, begins."""
        return EPOCH + timedelta(microseconds=int(self.starts[-1]))

    def slice(self, first: int, end: int) -> Columns:
        return Columns(self.symbol, self.starts[first:end], self.values[:, first:end])


def columns_of(block: pl.DataFrame) -> Columns:
    """The bars of one symbol; -0.0 as 0.0, null and every NaN as one NaN."""
    starts = block["timestamp"].cast(MOMENT).to_physical().to_numpy().astype("<i8")
    values = np.stack([block[name].fill_null(float("nan")).to_numpy() for name in VALUES])
    values = values.astype("<f8") + 0.0
    values[np.isnan(values)] = np.nan
    return Columns(str(block["symbol"][0]), starts, values)


def columns_of_each(blocks: Mapping[str, pl.DataFrame]) -> dict[str, Columns]:
    """`columns_of` each block, by its symbol and in one pass; one without rows is left out.

    Each has memory of its own.
    """
    filled = {symbol: block for symbol, block in blocks.items() if block.height}
    if not filled:
        return {}
    whole, found, first = columns_of(pl.concat(filled.values())), {}, 0
    for symbol, block in filled.items():
        part = whole.slice(first, first + block.height)
        found[symbol] = Columns(symbol, part.starts.copy(), part.values.copy())
        first += block.height
    return found


def block_hash(columns: Columns) -> str:
    """See `bars_hash`."""
    return hashlib.sha256(_block_bytes(columns)).hexdigest()


def panel_hash(frame: pl.DataFrame, *, sort: bool = True) -> str:
    """`bars_hash` over many symbols: their blocks one after another, by symbol and timestamp."""
    digest = hashlib.sha256()
    ordered = frame.sort("symbol", "timestamp") if sort else frame
    for block in ordered.partition_by("symbol", maintain_order=True):
        digest.update(_block_bytes(columns_of(block)))
    return digest.hexdigest()


def _block_bytes(columns: Columns) -> bytes:
    symbol, rows = columns.symbol.encode(), len(columns.starts)
    head = len(symbol).to_bytes(8, "little") + symbol + rows.to_bytes(8, "little")
    return head + columns.starts.tobytes() + columns.values.tobytes()
