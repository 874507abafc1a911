"""Bars that this process was just given, for the few seconds in which they are as good as new."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime

from mlengine.core.bars import CleanBars

_MOST_SYMBOLS = 1_000


@dataclass(frozen=True)
class HeldBars:
    """The final bars of one symbol as of `asked_at`; `whole` when nothing older was left out."""

    clean: CleanBars
    asked_at: datetime
    whole: bool


class BarCache:
    """Symbol to the newest live answer; safe to use from many threads, bounded."""

    def __init__(self) -> None:
        self._held: dict[str, HeldBars] = {}
        self._lock = threading.Lock()

    def put(self, symbol: str, held: HeldBars) -> None:
        """Keep `held`; the symbol that was put longest ago makes room."""
        with self._lock:
            self._held.pop(symbol, None)
            self._held[symbol] = held
            if len(self._held) > _MOST_SYMBOLS:
                del self._held[next(iter(self._held))]

    def get(self, symbol: str, *, now: datetime, within_seconds: float) -> HeldBars | None:
        """What was asked less than `within_seconds` before `now`, never after it."""
        with self._lock:
            held = self._held.get(symbol)
        if held is None or not 0 <= (now - held.asked_at).total_seconds() < within_seconds:
            return None
        return held
