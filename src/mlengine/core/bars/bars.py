"""Bars: what they are, one symbol's bars as arrays, and the hash of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from mlengine.core.frozen import frozen_by_types
from mlengine.core.timestamps import microseconds, moment

PRICES = ("open", "high", "low", "close")
VALUES = (*PRICES, "volume")
TIMESTAMP = pl.Datetime("us", "UTC")
BARS_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "timestamp": TIMESTAMP,
    **dict.fromkeys(VALUES, pl.Float64()),
}
# As served: `timestamp` is null where it can't be read, all after `volume` where it is not stated.
# `session` is the date that the row itself states: a bare date, or the local date of a moment with
# an offset or a zone. `line` counts from 1, the header of a file being its first.
RAW_SCHEMA: dict[str, pl.DataType] = {
    **BARS_SCHEMA,
    "final": pl.Boolean(),
    "closes_at": TIMESTAMP,
    "session": pl.Date(),
    "file": pl.String(),
    "line": pl.UInt32(),
}


@dataclass(frozen=True)
class AffectedCandle:
    """A candle that was mended or dropped: where it stands, and what shows the reason.

    `row` is all of it as its file has it, where somebody looked it up.
    """

    file: str | None
    line: int | None
    column: str | None
    value: str | None
    row: str | None = None


@dataclass(frozen=True)
class BarsReport:
    """How many candles of one answer are bars, and how many are mended or dropped, by reason.

    `examples` has the first candle of each reason but `unfinished`, which is no fault.
    """

    accepted: int
    mended: Mapping[str, int]
    dropped: Mapping[str, int]
    examples: Mapping[str, AffectedCandle] = field(default_factory=dict)

    @property
    def rows_read(self) -> int:
        """All candles: each is accepted, dropped, or the equal of another one."""
        return self.accepted + self.mended.get("duplicate", 0) + sum(self.dropped.values())

    @property
    def faulty(self) -> int:
        """Dropped candles that show a fault of the upstream; `unfinished` comes with time."""
        return sum(count for reason, count in self.dropped.items() if reason != "unfinished")


@frozen_by_types
@dataclass(frozen=True, eq=False)
class BarArrays:
    """One symbol's bars, oldest first: `starts` in int64 microseconds, `values` float64 (5, rows).

    Little endian, the rows of `values` as VALUES; a slice is a view of the same memory. No hash is
    over when each bar was known, what is wrong with the bars as a series, and the moment by which
    they were recorded as they are (see `RecordedWindow`; None where they are not).
    """

    symbol: str
    starts: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    known_at: npt.NDArray[np.int64]
    suspect_reasons: tuple[str, ...] = ()
    recorded_by: int | None = None

    @classmethod
    def of(cls, frame: pl.DataFrame) -> BarArrays:
        """The bars of one symbol; -0.0 as 0.0, null and every NaN as one NaN.

        Without a column `known_at` a bar counts as known from its start on.
        """
        starts = _microseconds(frame["timestamp"])
        known_at = _microseconds(frame["known_at"]) if "known_at" in frame.columns else starts
        values = np.empty((len(VALUES), frame.height), "<f8")
        for row, name in zip(values, VALUES, strict=True):
            np.add(frame[name].fill_null(float("nan")).to_numpy(), 0.0, out=row)
        undefined = np.isnan(values)
        if undefined.any():
            values[undefined] = np.nan
        symbol = str(frame["symbol"][0]) if frame.height else ""
        return cls(symbol, starts, values, known_at)

    @property
    def rows(self) -> int:
        return len(self.starts)

    @property
    def last_timestamp(self) -> datetime:
        """When the last bar, which there must be, begins; the same object for the same moment."""
        return moment(int(self.starts[-1]))

    @property
    def last_known_at(self) -> datetime:
        """When the last bar, which there must be, was known."""
        return moment(int(self.known_at[-1]))

    @cached_property
    def bars_hash(self) -> str:
        """See the function `bars_hash`."""
        return hashlib.sha256(_hashed_bytes(self)).hexdigest()

    @property
    def payload(self) -> bytes:
        """The starts, then open, high, low, close and volume, column by column."""
        return self.starts.tobytes() + self.values.tobytes()

    def count_known_at(self, as_of: datetime | None) -> int:
        """How many of the bars, from the oldest on, were all known by `as_of`; without it all."""
        if as_of is None:
            return self.rows
        return int(self._all_known_at.searchsorted(microseconds(as_of), side="right"))

    @cached_property
    def _all_known_at(self) -> npt.NDArray[np.int64]:
        """When each bar and all before it were known."""
        return np.maximum.accumulate(self.known_at)

    def slice(self, first: int, end: int) -> BarArrays:
        rows = slice(first, end)
        return BarArrays(self.symbol, self.starts[rows], self.values[:, rows], self.known_at[rows])

    def frame(self) -> pl.DataFrame:
        """In BARS_SCHEMA, bit for bit."""
        return frame_of([self])


@frozen_by_types
@dataclass(frozen=True, eq=False)
class CleanBars:
    """Final bars of one symbol, one a timestamp, and the report on all of its candles."""

    arrays: BarArrays
    report: BarsReport

    @cached_property
    def frame(self) -> pl.DataFrame:
        return self.arrays.frame()


NO_BARS = CleanBars(
    BarArrays("", np.empty(0, "<i8"), np.empty((len(VALUES), 0), "<f8"), np.empty(0, "<i8")),
    BarsReport(0, {}, {}),
)


def is_ordered(bars: pl.DataFrame) -> bool:
    """Whether each bar is a later one, or one of a later symbol: then no two are of one time."""
    symbol, at = pl.col("symbol"), pl.col("timestamp")
    later = (symbol == symbol.shift(1)) & (at > at.shift(1))
    return bool(bars.select((later | (symbol > symbol.shift(1))).all()).item())


def in_order(bars: pl.DataFrame) -> pl.DataFrame:
    """The bars sorted; themselves where they are, for to sort copies all."""
    return bars if is_ordered(bars) else bars.sort("symbol", "timestamp")


def arrays_by_symbol(ordered: pl.DataFrame) -> dict[str, BarArrays]:
    """`BarArrays.of` each symbol in bars that are sorted by symbol, in one pass.

    Each has memory of its own: one symbol that is cached for long must not keep all others alive.
    """
    whole, arrays, first = BarArrays.of(ordered), dict[str, BarArrays](), 0
    starts, values, known_at = whole.starts, whole.values, whole.known_at
    for rows, symbol in ordered["symbol"].rle().struct.unnest().rows():
        end = first + rows
        arrays[symbol] = BarArrays(
            symbol,
            starts[first:end].copy(),
            values[:, first:end].copy(),
            known_at[first:end].copy(),
        )
        first = end
    return arrays


def frame_of(blocks: Sequence[BarArrays]) -> pl.DataFrame:
    """The bars of all blocks, of which there must be one, in BARS_SCHEMA, bit for bit."""
    values = np.concatenate([block.values for block in blocks], axis=1)
    symbols = pl.Series([block.symbol for block in blocks], dtype=pl.String)
    block_of_row = np.repeat(np.arange(len(blocks)), [block.rows for block in blocks])
    starts = pl.Series(np.concatenate([block.starts for block in blocks]))
    return pl.DataFrame(
        {
            "symbol": symbols.gather(block_of_row),
            "timestamp": starts.cast(TIMESTAMP),
            **dict(zip(VALUES, values, strict=True)),
        }
    )


def bars_hash(frame: pl.DataFrame) -> str:
    """SHA-256 (hex) of one symbol's bars in the order given.

    Over the symbol (UTF-8, after its length), the row count, the timestamps as int64
    microseconds and the five float64 columns, each little endian. -0.0 counts as 0.0, null and
    every NaN as one NaN. Raises ValueError on more than one symbol.
    """
    if frame["symbol"].n_unique() > 1:
        raise ValueError("bars_hash takes the bars of one symbol")
    return BarArrays.of(frame).bars_hash if frame.height else hashlib.sha256().hexdigest()


def panel_hash(frame: pl.DataFrame) -> str:
    """`bars_hash` over many symbols: their blocks one after another, by symbol and timestamp."""
    ordered, digest, first = in_order(frame), hashlib.sha256(), 0
    for rows in ordered["symbol"].rle().struct.field("len").to_list():
        digest.update(_hashed_bytes(BarArrays.of(ordered.slice(first, rows))))
        first += rows
    return digest.hexdigest()


def _microseconds(column: pl.Series) -> npt.NDArray[np.int64]:
    return column.cast(TIMESTAMP).to_physical().to_numpy().astype("<i8")


def _hashed_bytes(bars: BarArrays) -> bytes:
    symbol = bars.symbol.encode()
    head = len(symbol).to_bytes(8, "little") + symbol + bars.rows.to_bytes(8, "little")
    return head + bars.payload
