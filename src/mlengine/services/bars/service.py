"""Bars for everyone: the newest final bars of a symbol as they were known at a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

import polars as pl

from mlengine.core.bars.bars import CleanBars, known_at
from mlengine.core.bars.intervals import final_at
from mlengine.core.bars.window import BarWindow
from mlengine.errors import InsufficientBars, MlengineError
from mlengine.services.bars.upstream import Upstream
from mlengine.stores.bars.cache import BarCache, CachedBars
from mlengine.stores.bars.store import BarStore
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.deadline import NEVER, Deadline
from mlengine.stores.system.health_checks import Checks


@dataclass(frozen=True)
class BarService:
    """Asks the upstream and keeps what it said while it is as good as new; see `Upstream`."""

    market: MarketData
    store: BarStore
    interval: str
    cache_seconds: float
    checks: Checks
    cache: BarCache = field(default_factory=BarCache, repr=False, compare=False)
    recheck_seconds: float = 60.0

    def history(
        self,
        symbol: str,
        *,
        bars: int,
        as_of: datetime | None,
        now: datetime,
        deadline: Deadline = NEVER,
    ) -> CleanBars:
        """The newest `bars` final bars (0: all), oldest first; fewer when there are no more.

        With `as_of` only bars with `timestamp + interval <= as_of`, without it every bar that is
        final at `now`. The report tells of the candles of the whole answer that was judged; its
        `accepted` counts the bars returned. The upstream's own deadline holds for the whole
        question, and `deadline` when it comes sooner. Raises UnknownSymbol, UpstreamInvalid (also
        when every candle was bad), UpstreamUnavailable.
        """
        held = self._held(symbol, bars=bars, as_of=as_of, now=now, deadline=deadline)
        return _newest(self._cut(held.clean.framed, as_of), bars)

    def window(
        self,
        symbol: str,
        *,
        bars: int,
        as_of: datetime | None,
        now: datetime,
        deadline: Deadline = NEVER,
    ) -> BarWindow:
        """The bars of `history`, with their hash; raises InsufficientBars when they are fewer."""
        held = self._held(symbol, bars=bars, as_of=as_of, now=now, deadline=deadline)
        found = self._window(symbol, held, bars=bars, as_of=as_of)
        if isinstance(found, InsufficientBars):
            raise found
        return found

    def windows(
        self, symbols: Sequence[str], *, bars: int, as_of: datetime | None, now: datetime
    ) -> dict[str, BarWindow | MlengineError] | None:
        """`window` of each symbol, or why it has none, from one question for all of them.

        Kept bars are not looked at. None where the upstream has to be asked symbol by symbol.
        """
        asked = self._upstream.ask_all(symbols, bars=bars, as_of=as_of, now=now)
        if asked is None:
            return None
        found: dict[str, BarWindow | MlengineError] = {}
        for symbol, answer in asked.items():
            if isinstance(answer, MlengineError):
                found[symbol] = answer
                continue
            if as_of is None:
                self.cache.put(symbol, answer)
            found[symbol] = self._window(symbol, answer, bars=bars, as_of=as_of)
        return found

    def kept_window(
        self, symbol: str, *, bars: int, as_of: datetime | None, now: datetime
    ) -> BarWindow | None:
        """As `window` where the upstream need not be asked, else None."""
        if as_of is None:
            self.cache.use(symbol)
        held = self.cache.get(symbol, now=now)
        if held is None or not self._is_enough(held, bars=bars, as_of=as_of):
            return None
        known = held.count_at(self.interval, as_of)
        return held.window(known, bars) if bars <= known else None

    def final_moment(self, symbol: str, *, bar: int, now: datetime) -> datetime | None:
        """When the `bar`-th bar of a symbol (from 1) was final; None when it isn't yet.

        None also where the upstream can't say it now: it only adds to a refusal.
        """
        try:
            held = self.history(symbol, bars=0, as_of=None, now=now).frame
        except MlengineError:
            return None
        return None if held.height < bar else final_at(held["timestamp"][bar - 1], self.interval)

    def fetch(self, symbol: str, *, now: datetime) -> CleanBars:
        """The whole history from the upstream, merged into the store."""
        asked = self._upstream.ask(symbol, bars=0, as_of=None, now=now, deadline=NEVER)
        clean = asked.clean.framed
        self.store.write(symbol, self.interval, clean.frame)
        return clean

    def stored(self, symbol: str) -> pl.DataFrame:
        """What `fetch` has stored, oldest first; no rows for a symbol never fetched."""
        return self.store.read(symbol, self.interval)

    def _held(
        self, symbol: str, *, bars: int, as_of: datetime | None, now: datetime, deadline: Deadline
    ) -> CachedBars:
        """The cached bars if asking again could bring no other answer, else those asked for now."""
        held = self.cache.get(symbol, now=now)
        if held is not None and self._is_enough(held, bars=bars, as_of=as_of):
            return held
        asked = self._upstream.ask(symbol, bars=bars, as_of=as_of, now=now, deadline=deadline)
        if as_of is None:
            self.cache.put(symbol, asked)
        return asked

    def _window(
        self, symbol: str, held: CachedBars, *, bars: int, as_of: datetime | None
    ) -> BarWindow | InsufficientBars:
        known = held.count_at(self.interval, as_of)
        if known < bars:
            return InsufficientBars(symbol, needed=bars, got=known)
        return held.window(known, bars)

    def _is_enough(self, held: CachedBars, *, bars: int, as_of: datetime | None) -> bool:
        if as_of is not None and as_of > held.asked_at:
            return False
        return held.whole or 0 < bars <= held.count_at(self.interval, as_of)

    def _cut(self, clean: CleanBars, as_of: datetime | None) -> CleanBars:
        if as_of is None:
            return clean
        return replace(clean, frame=known_at(clean.frame, interval=self.interval, as_of=as_of))

    @cached_property
    def _upstream(self) -> Upstream:
        return Upstream(
            self.market, self.interval, self.cache_seconds, self.recheck_seconds, self.checks
        )


def _newest(clean: CleanBars, bars: int) -> CleanBars:
    frame = clean.frame.tail(bars) if bars > 0 else clean.frame
    return replace(clean, frame=frame, report=replace(clean.report, accepted=frame.height))
