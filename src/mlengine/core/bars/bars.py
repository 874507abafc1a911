"""Bars: what they are, what was known when, and the hash of a window."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.timestamps import EPOCH

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


def is_ordered(bars: pl.DataFrame) -> bool:
    """Whether each bar is a later one, or one of a later symbol: then no two are of one time."""
    symbol, at = pl.col("symbol"), pl.col("timestamp")
    later = (symbol == symbol.shift(1)) & (at > at.shift(1))
    return bool(bars.select((later | (symbol > symbol.shift(1))).all()).item())


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
    def rows(self) -> int:
        return len(self.starts)

    @property
    def newest(self) -> datetime:
        """When the last bar, which there must be, begins."""
        return EPOCH + timedelta(microseconds=int(self.starts[-1]))

    @property
    def payload(self) -> bytes:
        """The starts, then open, high, low, close and volume, column by column."""
        return self.starts.tobytes() + self.values.tobytes()

    def slice(self, first: int, end: int) -> Columns:
        return Columns(self.symbol, self.starts[first:end], self.values[:, first:end])


@dataclass(frozen=True, eq=False)
class JudgedBars:
    """What `CleanBars` holds, as arrays: most of them are never wanted as a frame."""

    columns: Columns
    report: BarsReport

    @cached_property
    def frame(self) -> pl.DataFrame:
        return frame_of([self.columns])

    @property
    def framed(self) -> CleanBars:
        return CleanBars(self.frame, self.report)


NO_COLUMNS = Columns("", np.empty(0, "<i8"), np.empty((len(VALUES), 0), "<f8"))
NOTHING_JUDGED = JudgedBars(NO_COLUMNS, NO_CANDLES)


def columns_of(block: pl.DataFrame) -> Columns:
    """The bars, at least one, of one symbol; -0.0 as 0.0, null and every NaN as one NaN."""
    starts = block["timestamp"].cast(MOMENT).to_physical().to_numpy().astype("<i8")
    values = np.stack([block[name].fill_null(float("nan")).to_numpy() for name in VALUES])
    values = values.astype("<f8") + 0.0
    values[np.isnan(values)] = np.nan
    return Columns(str(block["symbol"][0]), starts, values)


def columns_by_symbol(ordered: pl.DataFrame) -> dict[str, Columns]:
    """`columns_of` each symbol in bars that are sorted by symbol, in one pass.

    Each has memory of its own: one symbol that is kept for long must not keep all others.
    """
    if ordered.is_empty():
        return {}
    whole, found, first = columns_of(ordered), {}, 0
    for rows, symbol in ordered["symbol"].rle().struct.unnest().rows():
        part = whole.slice(first, first + rows)
        found[symbol] = Columns(symbol, part.starts.copy(), part.values.copy())
        first += rows
    return found


def frame_of(blocks: Sequence[Columns]) -> pl.DataFrame:
    """The bars of all blocks, of which there must be one, in BARS_SCHEMA, bit for bit."""
    values = np.concatenate([block.values for block in blocks], axis=1)
    symbols = pl.Series([block.symbol for block in blocks], dtype=pl.String)
    counted = np.repeat(np.arange(len(blocks)), [block.rows for block in blocks])
    starts = pl.Series(np.concatenate([block.starts for block in blocks]))
    return pl.DataFrame(
        {
            "symbol": symbols.gather(counted),
            "timestamp": starts.cast(MOMENT),
            **dict(zip(VALUES, values, strict=True)),
        }
    )


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
    symbol, rows = columns.symbol.encode(), columns.rows
    head = len(symbol).to_bytes(8, "little") + symbol + rows.to_bytes(8, "little")
    return head + columns.payload
