"""Bars as they were known at a moment, adjusted for the actions that were known then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime

from mlengine.core.bars.bars import BarArrays
from mlengine.errors import MlengineError, UnknownSymbol
from mlengine.services.bars.adjuster import Adjuster
from mlengine.services.bars.live import LiveBars
from mlengine.services.bars.past import PastBars
from mlengine.services.bars.served import BarsView
from mlengine.stores.bars.cache import CachedBars
from mlengine.stores.market_data.deadline import NEVER, Deadline


@dataclass(frozen=True)
class BarsViewBuilder:
    """Raw bars from memory, the record or the upstream, and what the adjuster makes of them.

    With `anew` the upstream is asked for all of them, whatever is recorded.
    """

    live: LiveBars
    past: PastBars
    adjuster: Adjuster
    anew: bool

    def in_memory(
        self, symbol: str, *, bars: int, as_of: datetime | None, now: datetime
    ) -> BarsView | None:
        """The newest `bars` bars where neither the upstream nor a store need be asked."""
        view = self.live.in_memory(symbol, bars=bars, as_of=as_of, now=now)
        if view is None or not self.adjuster.kinds:
            return view
        return self._adjusted_in_memory(symbol, view, bars=bars, as_of=as_of, now=now)

    def many_in_memory(
        self, symbols: Iterable[str], *, bars: int, as_of: datetime | None, now: datetime
    ) -> dict[str, BarsView]:
        """Those that `in_memory` has."""
        in_memory = self.in_memory
        return {
            symbol: view
            for symbol in symbols
            if (view := in_memory(symbol, bars=bars, as_of=as_of, now=now)) is not None
        }

    def last_bars(
        self, symbols: Sequence[str], *, as_of: datetime, now: datetime
    ) -> dict[str, BarArrays]:
        """The newest bar of each symbol that was known then; who has none, or fails, is left out.

        All that is not in memory is asked for in one pass, as far as it can be.
        """
        views: dict[str, BarsView | MlengineError] = {}
        views |= self.many_in_memory(symbols, bars=1, as_of=as_of, now=now)
        missing = [symbol for symbol in symbols if symbol not in views]
        if len(missing) > 1:
            views |= self.views_in_one_pass(missing, bars=1, as_of=as_of, now=now)
        for symbol in missing:
            if symbol not in views:
                with suppress(MlengineError):
                    views[symbol] = self.view(symbol, bars=1, as_of=as_of, now=now, deadline=NEVER)
        return {
            symbol: view.cached.arrays.slice(view.end - 1, view.end)
            for symbol, view in views.items()
            if isinstance(view, BarsView) and view.end
        }

    def view(
        self, symbol: str, *, bars: int, as_of: datetime | None, now: datetime, deadline: Deadline
    ) -> BarsView:
        """The bars in memory if nobody could bring others, else those recorded or fetched now."""
        self.live.notice_recordings()
        if not self.anew or as_of is not None:
            view = self.in_memory(symbol, bars=bars, as_of=as_of, now=now)
            if view is not None:
                return view
        raw = self._raw(symbol, bars=bars, as_of=as_of, now=now, deadline=deadline)
        return self.adjusted(symbol, raw, bars=bars, as_of=as_of, now=now, deadline=deadline)

    def views_in_one_pass(
        self, symbols: Sequence[str], *, bars: int, as_of: datetime | None, now: datetime
    ) -> dict[str, BarsView | MlengineError]:
        """`view` of each symbol, or its refusal, in one pass over them.

        Asks what answers for many symbols at once, and records what that says. Left out is a symbol
        for which the upstream has to be asked on its own.
        """
        raw = self._raw_in_one_pass(symbols, bars=bars, as_of=as_of, now=now)
        viewed = [symbol for symbol, each in raw.items() if isinstance(each, BarsView)]
        ready = set(self.adjuster.at_hand(viewed, now=now))
        refused = self.adjuster.refresh(list(ready), now=now, deadline=NEVER)
        views: dict[str, BarsView | MlengineError] = {**refused}
        for symbol, each in raw.items():
            if not isinstance(each, BarsView):
                views[symbol] = each
            elif symbol in ready and symbol not in refused:
                adjusted = self._adjusted_in_memory(symbol, each, bars=bars, as_of=as_of, now=now)
                if adjusted is not None:
                    views[symbol] = adjusted
        return views

    def adjusted(
        self,
        symbol: str,
        raw: BarsView,
        *,
        bars: int,
        as_of: datetime | None,
        now: datetime,
        deadline: Deadline = NEVER,
    ) -> BarsView:
        """Raw bars of `as_of`, or of now, adjusted; raises what the source of actions raises."""
        self._refresh_actions(symbol, now=now, deadline=deadline)

        def view_of(earlier: str) -> BarsView:
            try:
                view = self._raw(earlier, bars=0, as_of=as_of, now=now, deadline=deadline)
            except UnknownSymbol:
                view = self.past.recorded_of_unknown(earlier, as_of or now)
            self._refresh_actions(earlier, now=now, deadline=deadline)
            return view

        at = as_of or now
        return self.adjuster.adjusted(symbol, raw, bars=bars, at=at, view_of=view_of) or raw

    def _refresh_actions(self, symbol: str, *, now: datetime, deadline: Deadline) -> None:
        """Raises why bars of the symbol can't be adjusted."""
        at_hand = not self.anew and self.adjuster.at_hand([symbol], now=now)
        with nullcontext() if at_hand else self.live.upstream.bulkhead.required_slot():
            errors = self.adjuster.refresh([symbol], now=now, deadline=deadline, anew=self.anew)
            for error in errors.values():
                raise error

    def _adjusted_in_memory(
        self, symbol: str, raw: BarsView, *, bars: int, as_of: datetime | None, now: datetime
    ) -> BarsView | None:
        def view_of(earlier: str) -> BarsView | None:
            return self.live.in_memory(earlier, bars=0, as_of=as_of, now=now)

        at = as_of or now
        return self.adjuster.adjusted(symbol, raw, bars=bars, at=at, view_of=view_of)

    def _raw(
        self, symbol: str, *, bars: int, as_of: datetime | None, now: datetime, deadline: Deadline
    ) -> BarsView:
        if self.anew and as_of is None:
            fetched = self.live.upstream.refresh(
                symbol, None, bars=bars, now=now, deadline=deadline, anew=True
            )
            return self.live.view(fetched, bars=bars, now=now)
        view = self.live.in_memory(symbol, bars=bars, as_of=as_of, now=now)
        if view is not None:
            return view
        if as_of is not None:
            return self.past.view(symbol, as_of, bars=bars, now=now, deadline=deadline)
        fetched = self.live.fetch(symbol, bars=bars, now=now, deadline=deadline)
        return self.live.view(fetched, bars=bars, now=now)

    def _raw_in_one_pass(
        self, symbols: Sequence[str], *, bars: int, as_of: datetime | None, now: datetime
    ) -> Mapping[str, BarsView | MlengineError]:
        if as_of is not None:
            return self.past.views(symbols, as_of, bars=bars, now=now)
        fetched = self.live.fetch_many(symbols, bars=bars, now=now)
        return {
            symbol: self.live.view(each, bars=bars, now=now)
            if isinstance(each, CachedBars)
            else each
            for symbol, each in fetched.items()
        }
