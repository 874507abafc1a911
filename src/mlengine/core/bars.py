"""Bars: the verdict on what an upstream served, what was known when, and the hash of a window."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

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

# Half a unit in the sixth digit of a price of one half: what printing and adjusting prices costs.
_ROUNDING = 1e-6

# By symbol: how many candles of each verdict.
_Counts = dict[str, dict[str, int]]


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


def clean_bars(raw: pl.DataFrame, *, interval: str, now: datetime) -> CleanBars:
    """Judge the candles of one symbol (RAW_SCHEMA, any order); keep the sane, final ones.

    Dropped, by the first reason that applies: `no_timestamp` (null: it could not be read),
    `future` (starts after `now`), `unfinished` (its own `final` decides, else `closes_at <= now`,
    else `timestamp + interval <= now`), `not_finite` (null, NaN or infinite), `not_positive` (a
    price), `negative_volume`, `ohlc_order` (high below or low above another price),
    `conflicting` (sane final bars of one timestamp differ, and nothing says which is right: all
    of them go). Mended: `ohlc_rounding` (out of order by a millionth at most: high and low are
    widened), `duplicate` (equal bars merged), `reordered` (stood after a later bar). Volume 0 is
    fine. The counts of `accepted`, `dropped` and `duplicate` add up to the candles given.
    """
    if raw.is_empty():
        return CleanBars(raw.select(list(BARS_SCHEMA)), NO_CANDLES)
    (judged,) = clean_panel(raw, interval=interval, now=now).values()
    return judged


def clean_panel(raw: pl.DataFrame, *, interval: str, now: datetime) -> dict[str, CleanBars]:
    """`clean_bars` of every symbol that has candles in `raw`, in one pass over all of them."""
    judged = raw.with_columns(pl.lit(now, MOMENT).alias("now")).with_columns(_reason(interval))
    kept = judged.filter(pl.col("reason").is_null()).select(list(BARS_SCHEMA))
    widened = kept.with_columns(
        pl.max_horizontal(PRICES).alias("high"), pl.min_horizontal(PRICES).alias("low")
    )
    merged = widened.with_columns(pl.col(VALUES) + 0.0).unique(maintain_order=True)
    agreed = merged.filter(pl.struct("symbol", "timestamp").is_unique())
    dropped = _counted(judged.drop_nulls("reason"))
    _add(dropped, "conflicting", _gone(merged, agreed))
    mended: _Counts = {}
    _add(mended, "ohlc_rounding", _rows(kept.filter(_differs(kept, widened))))
    _add(mended, "duplicate", _gone(widened, merged))
    _add(mended, "reordered", _rows(agreed.filter(_is_late())))
    return {
        symbol: CleanBars(
            frame, BarsReport(frame.height, mended.get(symbol, {}), dropped.get(symbol, {}))
        )
        for symbol, frame in _by_symbol(agreed.sort("symbol", "timestamp"), raw).items()
    }


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
    """`columns_of` each block, by its symbol and in one pass; one without rows is left out."""
    filled = {symbol: block for symbol, block in blocks.items() if block.height}
    if not filled:
        return {}
    whole, found, first = columns_of(pl.concat(filled.values())), {}, 0
    for symbol, block in filled.items():
        part = whole.slice(first, first + block.height)
        found[symbol] = Columns(symbol, part.starts, part.values)
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


@cache
def _reason(interval: str) -> pl.Expr:
    """The column `reason` of candles and `now`; to write it down takes longer than a few rows."""
    start, now = pl.col("timestamp"), pl.col("now")
    final = pl.coalesce(
        pl.col("final"), pl.col("closes_at") <= now, start + INTERVALS[interval] <= now
    )
    finite = pl.all_horizontal(pl.col(VALUES).is_finite().fill_null(value=False))
    slack = 1.0 + _ROUNDING
    disordered = (pl.col("high") * slack < pl.max_horizontal(PRICES)) | (
        pl.col("low") > pl.min_horizontal(PRICES) * slack
    )
    return (
        pl.when(start.is_null())
        .then(pl.lit("no_timestamp"))
        .when(start > now)
        .then(pl.lit("future"))
        .when(~final)
        .then(pl.lit("unfinished"))
        .when(~finite)
        .then(pl.lit("not_finite"))
        .when(pl.min_horizontal(PRICES) <= 0)
        .then(pl.lit("not_positive"))
        .when(pl.col("volume") < 0)
        .then(pl.lit("negative_volume"))
        .when(disordered)
        .then(pl.lit("ohlc_order"))
        .alias("reason")
    )


def _differs(before: pl.DataFrame, after: pl.DataFrame) -> pl.Series:
    return (before["high"] != after["high"]) | (before["low"] != after["low"])


def _is_late() -> pl.Expr:
    """Whether a row stands after a later one of its symbol."""
    at = pl.col("timestamp")
    return at < at.cum_max().over("symbol")


def _by_symbol(ordered: pl.DataFrame, raw: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The rows of each symbol of `raw` in `ordered`, which is sorted by symbol."""
    found = dict.fromkeys(raw["symbol"].unique(maintain_order=True).to_list(), ordered.clear())
    first = 0
    for rows, symbol in ordered["symbol"].rle().struct.unnest().rows():
        found[symbol] = ordered.slice(first, rows)
        first += rows
    return found


def _counted(dropped: pl.DataFrame) -> _Counts:
    """How many rows there are of each reason, by symbol."""
    counts: _Counts = {}
    for (symbol, reason), count in Counter(dropped.select("symbol", "reason").rows()).items():
        _add(counts, reason, {symbol: count})
    return counts


def _rows(frame: pl.DataFrame) -> Counter[str]:
    """How many rows each symbol has."""
    return Counter(frame["symbol"].to_list())


def _gone(before: pl.DataFrame, after: pl.DataFrame) -> Counter[str]:
    """How many of its rows each symbol lost."""
    return _rows(before) - _rows(after) if after.height < before.height else Counter()


def _add(counts: _Counts, reason: str, rows: Mapping[str, int]) -> None:
    for symbol, count in rows.items():
        counts.setdefault(symbol, {})[reason] = count


def _block_bytes(columns: Columns) -> bytes:
    symbol, rows = columns.symbol.encode(), len(columns.starts)
    head = len(symbol).to_bytes(8, "little") + symbol + rows.to_bytes(8, "little")
    return head + columns.starts.tobytes() + columns.values.tobytes()
