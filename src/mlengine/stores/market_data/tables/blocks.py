"""Candles sorted by symbol, so that those of a symbol are a slice."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, pairwise

import polars as pl

from mlengine.core.bars.intervals import INTERVALS

# A bar that is stamped at its end: weekly ones are of the date on which the week began.
_WEEK_AFTER_FIRST_DAY = timedelta(days=6)


@dataclass(frozen=True, eq=False)
class Block:
    """Candles sorted by symbol, and the rows of each symbol: first and end."""

    candles: pl.DataFrame
    rows: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, candles: pl.DataFrame) -> "Block":
        """The rows of a symbol keep their order."""
        counts, symbols = candles["symbol"].rle().struct.unnest()
        if not symbols.is_sorted():
            return cls.of(candles.sort("symbol", maintain_order=True))
        ends = accumulate(counts.to_list(), initial=0)
        return cls(candles, dict(zip(symbols.to_list(), pairwise(ends), strict=True)))

    def slices(self, symbols: Set[str]) -> list[pl.DataFrame]:
        """The candles of those symbols that it has, in as few slices as it takes."""
        slices: list[tuple[int, int]] = []
        for first, end in sorted(self.rows[symbol] for symbol in symbols & self.rows.keys()):
            joined_first = slices.pop()[0] if slices and slices[-1][1] == first else first
            slices.append((joined_first, end))
        return [self.candles.slice(first, end - first) for first, end in slices]


def join_blocks(blocks: Sequence[Block], most: int) -> tuple[Block, ...]:
    """As they are, or as one where they are more than `most`."""
    if len(blocks) <= most:
        return tuple(blocks)
    return (Block.of(pl.concat([block.candles for block in blocks])),)


def with_starts(candles: pl.DataFrame, interval: str) -> pl.DataFrame:
    """Of candles that are stamped at their end, with the moments at which they begin.

    The last bar of a session may be a short one: it begins where the one before ended.
    """
    step, end = INTERVALS[interval], pl.col("timestamp")
    session = pl.col("session") - (_WEEK_AFTER_FIRST_DAY if interval == "1w" else timedelta())
    if step >= timedelta(days=1):
        return candles.with_columns(end - step, session)
    before = (
        candles.select("symbol", "timestamp")
        .unique()
        .sort("symbol", "timestamp")
        .with_columns(end.shift(1).over("symbol").alias("before"))
    )
    joined = candles.join(before, on=["symbol", "timestamp"], how="left", maintain_order="left")
    begins = pl.max_horizontal(end - step, pl.when(end.is_not_null()).then("before"))
    return joined.with_columns(begins.alias("timestamp"), session).drop("before")
