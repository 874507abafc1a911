"""The newest bars: from memory, from the store, or from the upstream, asked once at a time."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from mlengine.errors import DatabaseUnavailable, MlengineError
from mlengine.services.bars.served import LIVE, RECORDED, BarsView, Origin, view_in_memory
from mlengine.services.bars.upstream.flights import Flights
from mlengine.services.bars.upstream.recorded_upstream import RecordedUpstream
from mlengine.stores.bars.cache import BarCache, CachedBars
from mlengine.stores.market_data.deadline import Deadline


@dataclass(frozen=True)
class LiveBars:
    """The bars of all symbols as they are now, for all threads of this process."""

    upstream: RecordedUpstream
    cache: BarCache

    @cached_property
    def flights(self) -> Flights[CachedBars]:
        """The questions that are under way."""
        return Flights(self.upstream.bulkhead)

    def notice_recordings(self) -> None:
        """Let the bars in memory serve no longer that another process has recorded anew."""
        store = self.upstream.store
        if store.recordings_changed():
            with suppress(DatabaseUnavailable):
                self.cache.expire(store.recording_counts(self.upstream.fetcher.interval))

    def in_memory(
        self, symbol: str, *, bars: int, as_of: datetime | None, now: datetime
    ) -> BarsView | None:
        """The bars in memory, where neither the store nor the upstream could bring others."""
        cached = self.cache.newest(symbol)
        return view_in_memory(cached, bars=bars, as_of=as_of, now=now) if cached else None

    def fetch(
        self,
        symbol: str,
        *,
        bars: int,
        now: datetime,
        deadline: Deadline,
        since: datetime | None = None,
    ) -> CachedBars:
        """The newest `bars` bars (0: all), which the upstream said after `since`.

        Whoever asks for a symbol while another does, also in another process, gets what that one
        gets.
        """
        cached = self.cache.newest(symbol)
        recorded = self.upstream.recorded_while_hanging(symbol, cached, bars=bars, now=now)
        if recorded is not None:
            self.cache.put(symbol, recorded)
            return recorded
        usual = self.upstream.fetcher.source.deadline()
        ends_at = usual.sooner_of(deadline)

        def question() -> CachedBars:
            cached = self.cache.newest(symbol)
            with self.upstream.store.own_recordings_known():
                with self.upstream.bulkhead.symbol_lock(symbol, ends_at):
                    refreshed = self.upstream.refresh(
                        symbol, cached, bars=bars, now=now, deadline=deadline, since=since
                    )
                self.cache.put(symbol, refreshed)
            return refreshed

        while True:
            fetched, others = self.flights.ask(
                symbol, question, deadline=ends_at, has_usual_deadline=ends_at is usual
            )
            if not others or fetched.suffices(bars, None):
                return fetched

    def fetch_many(
        self, symbols: Sequence[str], *, bars: int, now: datetime, since: datetime | None = None
    ) -> dict[str, CachedBars | MlengineError]:
        """`fetch` of each symbol that is at hand, or its refusal, in one pass over all."""
        cached = {s: each for s in symbols if (each := self.cache.newest(s)) is not None}
        with self.upstream.store.own_recordings_known():
            results = self.upstream.refresh_many(symbols, cached, bars=bars, now=now, since=since)
            self.cache.put_many(
                {s: each for s, each in results.items() if isinstance(each, CachedBars)}
            )
        return results

    def view(self, fetched: CachedBars, *, bars: int, now: datetime) -> BarsView:
        """What was fetched, as a question of `now` may know it."""
        if fetched.fetched_at > now:
            view = view_in_memory(fetched, bars=bars, as_of=None, now=now)
            if view is not None:
                return view
        elif not fetched.outage:  # what was final when it was fetched is known
            return BarsView(fetched, len(fetched.arrays.starts), LIVE)
        origin = Origin(RECORDED, (now - fetched.fetched_at).total_seconds())
        return BarsView(fetched, fetched.arrays.count_known_at(now), origin)
