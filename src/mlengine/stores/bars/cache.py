"""Bars that this process was given, for the time in which they are as good as new."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np

from mlengine.core.bars.bars import JudgedBars
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.window import BarWindow
from mlengine.core.timestamps import EPOCH

_MOST_SYMBOLS = 1_000
_MOST_WINDOWS = 32
# For so many new bars a symbol is in use without being asked for.
_UNASKED_BARS = 3


@dataclass(frozen=True)
class CachedBars:
    """The final bars of one symbol as of `asked_at`; `whole` when nothing older was left out."""

    clean: JudgedBars
    asked_at: datetime
    good_until: datetime
    whole: bool
    _windows: dict[tuple[int, int], BarWindow] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def last_bar(self) -> datetime | None:
        """When the newest bar begins; None without bars."""
        return self.clean.columns.newest if self.clean.columns.rows else None

    def count_at(self, interval: str, as_of: datetime | None) -> int:
        """How many of the bars had ended by `as_of`; without it all count, as they are final."""
        if as_of is None:
            return self.clean.columns.rows
        latest_start = max(as_of, EPOCH) - INTERVALS[interval]  # nothing began before 1970
        microseconds = (latest_start - EPOCH) // timedelta(microseconds=1)
        return int(np.searchsorted(self.clean.columns.starts, microseconds, side="right"))

    def window(self, end: int, bars: int) -> BarWindow:
        """The last `bars` of the first `end` bars, made once: hashing costs more than scoring."""
        found = self._windows.get((end, bars))
        if found is None:
            found = BarWindow.of(self.clean.columns.slice(end - bars, end))
            if len(self._windows) < _MOST_WINDOWS:
                self._windows[end, bars] = found
        return found


class BarCache:
    """Symbol to the newest live answer; safe to use from many threads, bounded.

    It also knows which symbols are in use: those that somebody asked for since the last few of
    the new bars that were told.
    """

    def __init__(self) -> None:
        self._held: dict[str, CachedBars] = {}
        self._used: dict[str, int] = {}
        self._newest: datetime | None = None
        self._new_bars = 0
        self._lock = threading.Lock()

    def put(self, symbol: str, held: CachedBars) -> None:
        """Keep `held`; the symbol that was put longest ago makes room."""
        with self._lock:
            self._held.pop(symbol, None)
            self._held[symbol] = held
            if len(self._held) > _MOST_SYMBOLS:
                gone = next(iter(self._held))
                del self._held[gone]
                self._used.pop(gone, None)

    def use(self, symbol: str) -> None:
        """Note that somebody asks for `symbol`, and may ask again; nothing where none is held."""
        if symbol in self._held:
            self._used[symbol] = self._new_bars

    def last_bar(self, symbol: str) -> datetime | None:
        """When the newest bar that is held of `symbol` begins, however long ago it was put."""
        held = self._held.get(symbol)
        return held.last_bar if held else None

    def asked_after(self, moment: datetime, symbol: str) -> bool:
        """Whether what is held of `symbol` was asked for after that moment."""
        held = self._held.get(symbol)
        return held is not None and held.asked_at > moment

    def behind(self, bar: datetime, *, now: datetime) -> list[str]:
        """The symbols in use that are out of date at `now` and have not got `bar`, a new one."""
        with self._lock:
            if self._newest is None or bar > self._newest:
                self._newest, self._new_bars = bar, self._new_bars + 1
            held = list(self._held.items())
        oldest = self._new_bars - _UNASKED_BARS
        return [
            symbol
            for symbol, each in held
            if each.last_bar is not None
            and each.last_bar < bar
            and each.good_until <= now
            and self._used.get(symbol, -math.inf) >= oldest
        ]

    def get(self, symbol: str, *, now: datetime) -> CachedBars | None:
        """What was asked at `now` or before, and is still good then."""
        held = self._held.get(symbol)
        return held if held and held.asked_at <= now < held.good_until else None
