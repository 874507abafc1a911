"""Bars in the memory of this process, for the time in which they are as good as new."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from mlengine.core.bars.bars import NO_BARS, BarArrays, CleanBars

_MAX_SYMBOLS = 1_000
_MAX_WINDOWS = 32
# For so many new bars a symbol counts as in use without a request for it.
_BARS_IN_USE = 3


@dataclass(frozen=True)
class CachedBars:
    """The final bars of one symbol as of `fetched_at`; all there are with `entire_history`."""

    clean: CleanBars
    fetched_at: datetime
    expires_at: datetime
    entire_history: bool
    _windows: dict[tuple[int, int], BarArrays] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def arrays(self) -> BarArrays:
        return self.clean.arrays

    @property
    def last_bar(self) -> datetime | None:
        """When the newest bar begins; None without bars."""
        return self.arrays.last_timestamp if self.arrays.rows else None

    def suffices(self, bars: int, as_of: datetime | None) -> bool:
        """Whether older candles could add nothing to the newest `bars` bars as of then."""
        return self.entire_history or 0 < bars <= self.arrays.count_final_at(as_of)

    def window(
        self, end: int, bars: int, find_reasons: Callable[[CleanBars], tuple[str, ...]]
    ) -> BarArrays:
        """The last `bars` of the first `end` bars, with the reasons for which they are suspect.

        One object: hashing costs more than scoring.
        """
        window = self._windows.get((end, bars))
        if window is None:
            rows = self.arrays.slice(end - bars, end)
            reasons = find_reasons(CleanBars(rows, self.clean.report))
            window = replace(rows, suspect_reasons=reasons)
            if len(self._windows) < _MAX_WINDOWS:
                self._windows[end, bars] = window
        return window


class BarCache:
    """Symbol to its newest bars; safe to use from many threads, bounded.

    It also knows which symbols are in use: those that were requested since the last few new bars.
    """

    def __init__(self) -> None:
        self._bars: dict[str, CachedBars] = {}
        self._used: dict[str, int] = {}
        self._newest: datetime | None = None
        self._new_bars = 0
        self._lock = threading.Lock()

    def put(self, symbol: str, bars: CachedBars) -> None:
        """Cache `bars`; the symbol that was put longest ago makes room."""
        with self._lock:
            self._bars.pop(symbol, None)
            self._bars[symbol] = bars
            if len(self._bars) > _MAX_SYMBOLS:
                oldest = next(iter(self._bars))
                del self._bars[oldest]
                self._used.pop(oldest, None)

    def get(self, symbol: str, *, now: datetime) -> CachedBars | None:
        """The bars that were fetched at `now` or before, and are still good then."""
        bars = self._bars.get(symbol)
        return bars if bars and bars.fetched_at <= now < bars.expires_at else None

    def mark_used(self, symbol: str) -> None:
        """Note a request for `symbol`: it may come again. Nothing where no bars are cached."""
        if symbol in self._bars:
            self._used[symbol] = self._new_bars

    def starts(self, symbol: str) -> npt.NDArray[np.int64]:
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
            if bars.last_bar is not None
            and bars.last_bar < bar
            and bars.expires_at <= now
            and self._used.get(symbol, -math.inf) >= oldest
        ]
