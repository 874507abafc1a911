"""Replay identical: what was known of the bars at a moment reads the same for ever."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from tests.simulation.promises.broken import BrokenPromise
from tests.simulation.write_ahead_log import Position

from mlengine.stores.bars.store import BarStore
from mlengine.stores.bars.stored import StoredBars


@dataclass(frozen=True)
class Recording:
    """What a process has got back when it recorded; the moment is that of the store."""

    symbol: str
    at: datetime
    payload: bytes
    position: Position


@dataclass(eq=False)
class Attempt:
    """A recording that has begun and not ended."""

    symbol: str
    overlaps: bool = False


@dataclass(eq=False)
class BarsPromise:
    recordings: list[Recording] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)

    def begin(self, symbol: str) -> Attempt:
        """Of two at once nobody knows which comes first, and both may come to one moment."""
        attempt = Attempt(symbol)
        for other in self.attempts:
            if other.symbol == symbol:
                other.overlaps = attempt.overlaps = True
        self.attempts.append(attempt)
        return attempt

    def record(self, attempt: Attempt, bars: StoredBars, position: Position) -> None:
        """The recording has answered with the bars as they are from its moment on."""
        at, payload = bars.series.fetched_at, bars.held.arrays.payload
        if not attempt.overlaps:
            self.recordings.append(Recording(attempt.symbol, at, payload, position))

    def end(self, attempt: Attempt) -> None:
        self.attempts.remove(attempt)

    def cut_power(self, survived: Position) -> None:
        self.recordings = [each for each in self.recordings if each.position <= survived]

    def check(self, store: BarStore, interval: str) -> None:
        for each in self.recordings:
            known = store.known_at([each.symbol], interval, each.at, bars=0).get(each.symbol)
            if known is None:
                raise BrokenPromise(f"the bars of {each.symbol} are gone")
            if known.held.arrays.payload != each.payload:
                raise BrokenPromise(f"{each.symbol} reads otherwise than at {each.at}")
