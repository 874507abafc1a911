"""Whether candles are of the interval that was asked for, by how far apart they lie."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from mlengine.core.bars.bars import is_ordered
from mlengine.core.bars.intervals import INTERVALS
from mlengine.errors import UpstreamInvalid

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
# A finer interval is half as long at most; a week that begins after a holiday is six days long.
_SHORTEST_SHARE = 0.6
# A few odd candles are no other interval: another one shows in nearly all gaps, and in several.
_ODD_SHARE = 0.1
_MIN_CLOSE_GAPS = 2
# So many in a row are a part of the series that is of another interval, however long the rest is.
_CLOSE_STRETCH = 8
# Where hours begin at full ones, that of an opening at half past is shorter: one of six or seven.
_OPENINGS_SHARE = 0.25
_MIN_WIDE_GAPS = 5
# Coarser intervals are so many times as long, or a multiple of that.
_FACTORS = (2, 3, 5, 7)

_Ints = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]


def interval_mismatches(candles: pl.DataFrame, interval: str) -> dict[str, UpstreamInvalid]:
    """By symbol, those whose candles (RAW_SCHEMA, any order) are of another interval, and why.

    They lie closer than the interval, be it in one stretch alone, or nearly all distances within a
    day are multiples of a multiple of it (so that a series with few trades, whose bars are never
    neighbours, is none), or there is one candle a day at one time of day. Summer time moves a local
    time by an hour. Half days, openings at odd times, a shorter first bar and weeks from any day
    are all of the interval.
    """
    dated = candles.select("symbol", "timestamp").drop_nulls()
    if dated.is_empty():
        return {}
    ordered = dated if is_ordered(dated) else dated.sort("symbol", "timestamp")
    gaps = _Gaps.of(ordered, INTERVALS[interval])
    return {
        symbol: UpstreamInvalid(
            f"{symbol}{_file_of(candles, symbol)} has bars of another interval than {interval}: "
            f"they lie {_spacing(typical)} apart"
        )
        for symbol, typical in gaps.of_other_interval()
    }


@dataclass(frozen=True, eq=False)
class _Gaps:
    """Microseconds from each candle to the one before; `firsts` is the first row of each symbol."""

    symbols: pl.Series
    firsts: _Ints
    starts: _Ints
    gaps: _Ints
    step: int

    @classmethod
    def of(cls, ordered: pl.DataFrame, interval: timedelta) -> "_Gaps":
        rows, symbols = ordered["symbol"].rle().struct.unnest()
        firsts = rows.cum_sum().shift(1, fill_value=0).to_numpy().astype(np.int64)
        starts = ordered["timestamp"].to_physical().to_numpy()
        gaps = np.diff(starts, prepend=starts[0])
        gaps[firsts] = 0
        return cls(symbols, firsts, starts, gaps, interval // timedelta(microseconds=1))

    def of_other_interval(self) -> Iterator[tuple[str, int]]:
        """Each symbol that is not of `step`, with its typical gap: of those that are too short."""
        some = self.gaps > 0
        too_close = self._too_close(some)
        ends = np.append(self.firsts[1:], len(self.gaps))
        for row in np.flatnonzero(too_close | self._too_wide(some)):
            gaps = self.gaps[self.firsts[row] : ends[row]]
            wrong = (
                (gaps > 0) & (gaps < _SHORTEST_SHARE * self.step) if too_close[row] else gaps > 0
            )
            yield self.symbols[int(row)], int(np.median(gaps[wrong]))

    def _too_close(self, some: _Flags) -> _Flags:
        short, count = some & (self.gaps < _SHORTEST_SHARE * self.step), self._count(some)
        closer = self._count(short)
        result: _Flags = (closer >= _MIN_CLOSE_GAPS) & (closer > _ODD_SHARE * count)
        if self.step >= _DAY or not closer.any():
            return result
        alone = self._count(short & ~np.append(False, short[:-1]) & ~np.append(short[1:], False))
        result &= (closer - alone > _ODD_SHARE * count) | (alone > _OPENINGS_SHARE * count)
        return result | (self._count(self._in_close_stretch(short)) > 0)

    def _in_close_stretch(self, short: _Flags) -> _Flags:
        """The ends of that many short gaps in a row; of candles that begin at whole minutes.

        The rows of a running bar begin whenever somebody has asked for it.
        """
        whole = self.starts % _MINUTE == 0
        both = short & whole & np.append(False, whole[:-1])
        sums = np.append(0, np.cumsum(both))
        ends: _Flags = np.zeros(len(both), dtype=np.bool_)
        ends[_CLOSE_STRETCH - 1 :] = (
            sums[_CLOSE_STRETCH:] - sums[:-_CLOSE_STRETCH] == _CLOSE_STRETCH
        )
        return ends

    def _too_wide(self, some: _Flags) -> _Flags:
        if self.step >= _DAY:
            return self._are_multiples(some) | self._are_rare(some, 5 * self.step)
        days = self.starts // _DAY
        new_day = np.diff(days, prepend=days[0] - 1) != 0
        new_day[self.firsts] = True
        daily = self._are_daily(some, new_day) | self._are_rare(some, 3 * _DAY // 2)
        return self._are_multiples(some & ~new_day) | daily

    def _are_multiples(self, some: _Flags) -> _Flags:
        """Whether nearly all of the gaps are so many times `step`."""
        units = np.rint(self.gaps / self.step).astype(np.int64)
        wider = some & (units > 1)
        result = self._are_nearly_all(wider, some)
        if not result.any():
            return result
        result = np.zeros(len(self.firsts), dtype=np.bool_)
        for factor in _FACTORS:
            result |= self._are_nearly_all(wider & (units % factor == 0), some)
        return result

    def _are_rare(self, some: _Flags, longest: int) -> _Flags:
        """Whether over half of the gaps are longer than that; few are, whatever the holidays."""
        count = self._count(some)
        return (count >= _MIN_WIDE_GAPS) & (2 * self._count(some & (self.gaps > longest)) > count)

    def _are_daily(self, some: _Flags, new_day: _Flags) -> _Flags:
        """Whether there is one candle a day, at one time of day."""
        off = np.abs(self.gaps - np.rint(self.gaps / _DAY).astype(np.int64) * _DAY)
        rows = np.diff(np.append(self.firsts, len(self.gaps)))
        one_a_day = rows <= (1 + _ODD_SHARE) * self._count(new_day)
        return one_a_day & self._are_nearly_all(some & (off <= _HOUR), some)

    def _are_nearly_all(self, part: _Flags, some: _Flags) -> _Flags:
        count = self._count(some)
        return (count >= _MIN_WIDE_GAPS) & (self._count(part) >= (1 - _ODD_SHARE) * count)

    def _count(self, flags: _Flags) -> _Ints:
        """How many rows of each symbol."""
        return np.add.reduceat(flags, self.firsts, dtype=np.int64)


def _file_of(candles: pl.DataFrame, symbol: str) -> str:
    files = candles.filter(pl.col("symbol") == symbol)["file"].drop_nulls()
    return f" (file {files[0]!r})" if files.len() else ""


def _spacing(microseconds: int) -> str:
    seconds = microseconds // _SECOND
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = seconds / length
            return f"{count:.3g} {unit}{'' if count == 1 else 's'}"
    return f"{microseconds / _SECOND:g} seconds"
