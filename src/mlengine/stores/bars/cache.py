"""Bars in the memory of this process, for the time in which they are as good as new."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from mlengine.core.arrays import Moments
from mlengine.core.bars.bars import NO_BARS, BarArrays, CleanBars
from mlengine.core.frozen import frozen_by_types
from mlengine.core.telemetry.families import CACHE_EVICTIONS
from mlengine.core.timestamps import EPOCH, microseconds, moment
from mlengine.stores.bars.stored import StoredBars, loaded_report
from mlengine.stores.telemetry.counters import Counters

_BAR_BYTES = 56
_MAX_WINDOWS = 32
# For so many new bars a symbol counts as in use without a request for it.
_BARS_IN_USE = 3


@frozen_by_types
@dataclass(frozen=True)
class CachedBars:
    """The final bars of one symbol from `asked_from` on, as of `fetched_at`.

    `stored` is what is recorded of them, None where that failed. With `outage` they serve because
    the upstream can't be reached.
    """

    clean: CleanBars
    fetched_at: datetime
    expires_at: datetime
    asked_from: datetime
    stored: StoredBars | None = None
    outage: bool = False
    _windows: dict[tuple[int, int], BarArrays] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _variants: dict[Hashable, CachedBars] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of(cls, stored: StoredBars) -> CachedBars:
        """What is recorded."""
        arrays, series = stored.held.arrays, stored.series
        rows = len(arrays.starts)
        entire = not rows or stored.entire_history
        return cls(
            CleanBars(arrays, loaded_report(series.report, accepted=rows)),
            series.fetched_at,
            series.expires_at,
            EPOCH if entire else moment(int(arrays.starts[0])),
            stored,
        )

    @property
    def arrays(self) -> BarArrays:
        return self.clean.arrays

    @property
    def bytes(self) -> int:
        """Of the bars, without what is derived from them."""
        return len(self.clean.arrays.starts) * _BAR_BYTES

    @property
    def last_bar(self) -> datetime | None:
        """When the newest bar begins; None without bars."""
        return self.arrays.last_timestamp if self.arrays.rows else None

    @property
    def entire_history(self) -> bool:
        """Whether these are all bars that there are."""
        return self.asked_from == EPOCH

    def suffices(self, bars: int, as_of: datetime | None) -> bool:
        """Whether older candles could add nothing to the newest `bars` bars as of then."""
        return self.have_enough(bars, self.arrays.count_known_at(as_of))

    def have_enough(self, bars: int, end: int) -> bool:
        """As `suffices`, of the first `end` bars."""
        return 0 < bars <= end or self.entire_history

    def had_been_seen(self, as_of: datetime, bars: int, end: int) -> bool | None:
        """Whether the newest `bars` bars (0: all) of `as_of`, the first `end`, were seen by then.

        None where they may have been other ones: a bar was revised since, or came late.
        """
        if self.stored is None:
            return False
        held, moment = self.stored.held, microseconds(as_of)
        if (self.clean.arrays.known_at[end:] <= moment).any():
            return None
        seen_by = held.latest_first_seen(max(0, end - bars) if bars else 0, end)
        return seen_by <= moment if held.revised_at <= max(seen_by, moment) else None

    def window_at_hand(self, end: int, bars: int) -> BarArrays | None:
        """What `window` gave before."""
        return self._windows.get((end, bars))

    def window(self, end: int, bars: int, suspect_reasons: tuple[str, ...]) -> BarArrays:
        """The last `bars` of the first `end` bars, with the reasons for which they are suspect.

        One object: hashing costs more than scoring.
        """
        window = self._windows.get((end, bars))
        if window is None:
            arrays, rows = self.clean.arrays, slice(end - bars, end)
            window = BarArrays(
                arrays.symbol,
                arrays.starts[rows],
                arrays.values[:, rows],
                arrays.known_at[rows],
                suspect_reasons,
                self._recorded_by(end - bars, end),
            )
            if len(self._windows) < _MAX_WINDOWS:
                self._windows[end, bars] = window
        return window

    def _recorded_by(self, first: int, end: int) -> int | None:
        """By when these bars were recorded; None where they are not, or not as they are here."""
        stored = self.stored
        if stored is None or self.clean.arrays is not stored.held.arrays:
            return None
        return stored.window_recorded_by(first, end)

    def variant(self, key: Hashable, derive: Callable[[], CachedBars]) -> CachedBars:
        """Bars that are derived from these, the same object for the same key."""
        variant = self._variants.get(key)
        if variant is None:
            variant = derive()
            if len(self._variants) < _MAX_WINDOWS:
                self._variants[key] = variant
        return variant


class BarCache:
    """Symbols to their newest bars, so many and of so many megabytes; safe from many threads.

    What does not fit takes the place of the symbols that were put longest ago, which are counted.
    It also knows which symbols are in use: those that were requested since the last few new bars.
    """

    def __init__(
        self,
        most_symbols: int = 1_000,
        most_megabytes: int = 280,
        counters: Counters | None = None,
    ) -> None:
        self._most_symbols, self._most_bytes = most_symbols, most_megabytes * 1_000_000
        self._counters = counters or Counters()
        self._bars: OrderedDict[str, CachedBars] = OrderedDict()
        self._bytes = 0
        self._used: dict[str, int] = {}
        self._newest: datetime | None = None
        self._new_bars = 0
        self._lock = threading.Lock()

    @property
    def most_bars(self) -> int:
        """How many bars of a symbol there is room for, of as many symbols as there may be."""
        return max(self._most_bytes // _BAR_BYTES // self._most_symbols, 1)

    def put(self, symbol: str, bars: CachedBars) -> None:
        """Cache `bars`, unless later ones are; the symbols that were put longest ago make room."""
        self.put_many({symbol: bars})

    def put_many(self, bars_of: Mapping[str, CachedBars]) -> None:
        """`put` of each symbol."""
        with self._lock:
            for symbol, bars in bars_of.items():
                if self._has_later(symbol, bars.stored):
                    continue
                self._forget(symbol)
                self._bars[symbol] = bars
                self._bytes += bars.bytes
            while len(self._bars) > 1 and self._is_too_full():
                oldest = next(iter(self._bars))
                self._forget(oldest)
                self._used.pop(oldest, None)
                self._counters.count(CACHE_EVICTIONS, "bars").add()

    def _has_later(self, symbol: str, stored: StoredBars | None) -> bool:
        cached = self._bars.get(symbol)
        return bool(stored and cached and cached.stored and stored.is_older_than(cached.stored))

    def _is_too_full(self) -> bool:
        return len(self._bars) > self._most_symbols or self._bytes > self._most_bytes

    def _forget(self, symbol: str) -> None:
        bars = self._bars.pop(symbol, None)
        self._bytes -= bars.bytes if bars else 0

    def get(self, symbol: str, *, now: datetime) -> CachedBars | None:
        """The bars that were fetched at `now` or before, and are still good then."""
        bars = self._bars.get(symbol)
        return bars if bars and bars.fetched_at <= now < bars.expires_at else None

    def newest(self, symbol: str) -> CachedBars | None:
        """The bars that were put last, whether or not they are still good."""
        return self._bars.get(symbol)

    def expire(self, recordings: Mapping[str, int]) -> None:
        """Let the bars of each symbol serve no longer that was recorded more often since."""
        with self._lock:
            for symbol, bars in list(self._bars.items()):
                stored = bars.stored
                if stored and recordings.get(symbol, 0) > stored.series.recordings:
                    self._bars[symbol] = replace(bars, expires_at=bars.fetched_at)

    def mark_used(self, symbols: Iterable[str]) -> None:
        """Note a request for symbols: it may come again. Nothing where no bars are cached."""
        self._used.update(dict.fromkeys(filter(self._bars.__contains__, symbols), self._new_bars))

    def starts(self, symbol: str) -> Moments:
        """When the cached bars of `symbol` begin, however long ago they were put; may be none."""
        bars = self._bars.get(symbol)
        return bars.arrays.starts if bars else NO_BARS.arrays.starts

    def last_bar(self, symbol: str) -> datetime | None:
        """When the newest cached bar of `symbol` begins, however long ago it was put."""
        bars = self._bars.get(symbol)
        return bars.last_bar if bars else None

    def fetched_after(self, moment: datetime, symbol: str) -> bool:
        """Whether the cached bars of `symbol` were fetched after that moment."""
        bars = self._bars.get(symbol)
        return bars is not None and bars.fetched_at > moment

    def symbols_to_refetch(self, bar: datetime, *, now: datetime) -> list[str]:
        """The symbols in use whose bars are no longer good at `now` and lack `bar`, a new one."""
        with self._lock:
            if self._newest is None or bar > self._newest:
                self._newest, self._new_bars = bar, self._new_bars + 1
            cached = list(self._bars.items())
        oldest = self._new_bars - _BARS_IN_USE
        return [
            symbol
            for symbol, bars in cached
            if bars.expires_at <= now
            and bars.last_bar is not None
            and bars.last_bar < bar
            and self._used.get(symbol, -math.inf) >= oldest
        ]
