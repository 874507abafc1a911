"""Corrupted histories: missing values, flat prices, no trade; what fills and guards act on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from mlengine.core.features.spec import BAR_COLUMNS

_SHORT = 2
_PRICES = ("open", "high", "low", "close")
_Values = Mapping[str, float | None]


@dataclass(frozen=True)
class CorruptedHistory:
    """One symbol's bars of which those from `start` to before `end` are corrupted."""

    bars: pl.DataFrame
    start: int
    end: int

    def truncation_offsets(self) -> list[int]:
        """How many of the last bars to take away: up to the first and to the last corrupted one."""
        return sorted({self.bars.height - self.start - 1, self.bars.height - self.end} - {0})

    def window_truncation_offsets(self, window_bars: int) -> list[int]:
        """The same where a window begins with the first corrupted bar, and right after the last."""
        ends = (self.start + window_bars, self.end + window_bars)
        return [self.bars.height - end for end in ends if end <= self.bars.height]


def corrupted_histories(history: pl.DataFrame, *, window_bars: int) -> Iterator[CorruptedHistory]:
    """The last bars of one symbol that has more than a window of them, each time corrupted."""
    bars = history.tail(4 * window_bars + _SHORT)
    start = min(window_bars + window_bars // 4, bars.height - 1)
    flat: _Values = dict.fromkeys(_PRICES, bars["close"].item(start - 1))
    single: list[_Values] = [{name: None} for name in BAR_COLUMNS]
    for values in (*single, {"volume": 0.0}, flat):
        yield _corrupt(bars, start, _SHORT, values)
    for values in (dict.fromkeys(BAR_COLUMNS), flat):
        yield _corrupt(bars, start, window_bars, values)


def _corrupt(bars: pl.DataFrame, start: int, length: int, values: _Values) -> CorruptedHistory:
    end = min(start + length, bars.height)
    row = pl.int_range(pl.len())
    within = (row >= start) & (row < end)
    corrupted = bars.with_columns(
        pl.when(within).then(pl.lit(value, dtype=pl.Float64)).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )
    return CorruptedHistory(corrupted, start, end)
