"""The bars that were known at a moment of the past."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.symbols import is_symbol
from mlengine.core.timestamps import EPOCH, microseconds
from mlengine.errors import DatabaseUnavailable, MlengineError, UnknownSymbol
from mlengine.services.bars.live import LiveBars
from mlengine.services.bars.served import RECONSTRUCTED, RECORDED, BarsView, Origin, view_in_memory
from mlengine.stores.bars.cache import CachedBars
from mlengine.stores.bars.stored import StoredBars
from mlengine.stores.market_data.deadline import Deadline

# Up to so many bars before now are fetched with all that came after, and recorded.
_MOST_BARS_BACK = 2_000


@dataclass(frozen=True)
class PastBars:
    """What is recorded answers; what is not, the upstream does, by when bars were final."""

    live: LiveBars

    def view(
        self, symbol: str, as_of: datetime, *, bars: int, now: datetime, deadline: Deadline
    ) -> BarsView:
        """The newest `bars` bars (0: all) that were known then; raises as `LiveBars.fetch`."""
        recorded = self._recorded([symbol], as_of, bars=bars)
        if symbol in recorded:
            return recorded[symbol]
        reach = _bars_until(as_of, bars, now, self.live.upstream.fetcher.interval)
        if reach is not None:
            fetched = self.live.fetch(symbol, bars=reach, now=now, deadline=deadline, since=as_of)
            view = self._of_now(symbol, fetched, as_of, bars=bars, now=now)
            if view is not None:
                return view
        alone = self.live.upstream.fetch_as_of(symbol, as_of, bars=bars, now=now, deadline=deadline)
        return _reconstructed(alone, as_of)

    def views(
        self, symbols: Sequence[str], as_of: datetime, *, bars: int, now: datetime
    ) -> dict[str, BarsView | MlengineError]:
        """`view` of each symbol that is at hand, or its refusal, in one pass over all."""
        fetcher = self.live.upstream.fetcher
        results: dict[str, BarsView | MlengineError] = {}
        results |= self._recorded(symbols, as_of, bars=bars)
        missing = [symbol for symbol in symbols if symbol not in results]
        reach = _bars_until(as_of, bars, now, fetcher.interval)
        if missing and reach is not None:
            fetched = self.live.fetch_many(missing, bars=reach, now=now, since=as_of)
            for symbol, each in fetched.items():
                view = (
                    self._of_now(symbol, each, as_of, bars=bars, now=now)
                    if isinstance(each, CachedBars)
                    else each
                )
                if view is not None:
                    results[symbol] = view
            missing = [symbol for symbol in missing if symbol not in results]
        alone = fetcher.fetch_many(missing, bars=bars, as_of=as_of, now=now) if missing else None
        for symbol, result in (alone or {}).items():
            results[symbol] = (
                _reconstructed(result, as_of) if isinstance(result, CachedBars) else result
            )
        return results

    def recorded_of_unknown(self, symbol: str, at: datetime) -> BarsView:
        """All that is recorded of a symbol that the upstream does not know, or no more.

        Raises UnknownSymbol where that is nothing.
        """
        store, interval = self.live.upstream.store, self.live.upstream.fetcher.interval
        with suppress(DatabaseUnavailable):
            for each in store.known_at([symbol], interval, at, bars=0).values():
                if rows := each.held.arrays.rows:
                    return BarsView(CachedBars.of(each), rows, Origin(_kind(each, at)))
        raise UnknownSymbol(symbol)

    def _recorded(
        self,
        symbols: Sequence[str],
        as_of: datetime,
        *,
        bars: int,
        upstream_age_seconds: float | None = None,
    ) -> dict[str, BarsView]:
        """What the store says of the symbols that have enough bars there, as of a moment.

        A moment after which the upstream was not asked is left to it, unless it can't be reached,
        and said what is recorded `upstream_age_seconds` ago.
        """
        store, interval = self.live.upstream.store, self.live.upstream.fetcher.interval
        views: dict[str, BarsView] = {}
        symbols = [symbol for symbol in symbols if is_symbol(symbol)]
        with suppress(DatabaseUnavailable):
            for symbol, each in store.known_at(symbols, interval, as_of, bars=bars).items():
                asked = as_of <= each.series.fetched_at or upstream_age_seconds is not None
                if asked and each.suffices(bars):
                    rows = each.held.arrays.rows
                    origin = Origin(_kind(each, as_of), upstream_age_seconds)
                    views[symbol] = BarsView(CachedBars.of(each), rows, origin)
        return views

    def _of_now(
        self, symbol: str, fetched: CachedBars, as_of: datetime, *, bars: int, now: datetime
    ) -> BarsView | None:
        """What was known at `as_of` of bars that were fetched now."""
        view = view_in_memory(fetched, bars=bars, as_of=as_of, now=now)
        if view is None and fetched.stored is not None:
            age = (now - fetched.fetched_at).total_seconds() if fetched.outage else None
            view = self._recorded([symbol], as_of, bars=bars, upstream_age_seconds=age).get(symbol)
        return view


def _bars_until(as_of: datetime, bars: int, now: datetime, interval: str) -> int | None:
    """How many bars go back from now to before the first one that is wanted; None: too many."""
    if bars == 0 or as_of <= EPOCH:
        return 0 if as_of > EPOCH else None
    reach = bars + (now - as_of) // INTERVALS[interval] + 1
    return reach if reach <= _MOST_BARS_BACK else None


def _kind(bars: StoredBars, at: datetime) -> str:
    """Whether all of the bars had been seen by then."""
    seen = bars.held.latest_first_seen(0, bars.held.arrays.rows) <= microseconds(at)
    return RECORDED if seen else RECONSTRUCTED


def _reconstructed(fetched: CachedBars, as_of: datetime) -> BarsView:
    return BarsView(fetched, fetched.arrays.count_known_at(as_of), Origin(RECONSTRUCTED))
