"""Bars for everyone: the newest final bars of a symbol as they were known at a moment."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from mlengine.core.bars.bars import NO_BARS, BarArrays, CleanBars
from mlengine.core.bars.quality import suspect_reasons
from mlengine.core.calendars.market import NO_MARKETS, MarketDirectory
from mlengine.core.timestamps import EPOCH
from mlengine.errors import InsufficientBars, MlengineError
from mlengine.services.bars.expectations import BarExpectations
from mlengine.services.bars.fetcher import BarFetcher
from mlengine.stores.bars.cache import BarCache, CachedBars
from mlengine.stores.bars.store import Answer, BarStore
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.deadline import NEVER, Deadline
from mlengine.stores.system import atomic_files
from mlengine.stores.system.dependency_states import DependencyStates
from mlengine.stores.system.table_files import to_parquet


@dataclass(frozen=True)
class BarService:
    """Fetches from the upstream, and caches for as long as bars are as good as new."""

    market: MarketData
    store: BarStore
    interval: str
    cache_seconds: float
    states: DependencyStates
    cache: BarCache = field(default_factory=BarCache, repr=False, compare=False)
    recheck_seconds: float = 60.0
    markets: MarketDirectory = NO_MARKETS

    def cached_window(
        self, symbol: str, *, bars: int, as_of: datetime | None, now: datetime
    ) -> BarArrays | None:
        """As `window` where the upstream need not be asked, else None."""
        if as_of is None:
            self.cache.mark_used(symbol)
        cached = self._cached(symbol, bars=bars, as_of=as_of, now=now)
        count = cached.arrays.count_final_at(as_of) if cached else 0
        return self._cut(symbol, cached, count, bars) if cached and bars <= count else None

    def windows(
        self, symbols: Sequence[str], *, bars: int, as_of: datetime | None, now: datetime
    ) -> dict[str, BarArrays | MlengineError] | None:
        """`window` of each symbol, or why it has none, from one request for all of them.

        The cache is not read. None where the upstream has to be asked symbol by symbol.
        """
        results = self._fetcher.fetch_many(symbols, bars=bars, as_of=as_of, now=now)
        if results is None:
            return None
        for symbol, result in results.items():
            if as_of is None and isinstance(result, CachedBars):
                self.cache.put(symbol, result)
        return {
            symbol: self._window(symbol, result, bars=bars, as_of=as_of)
            if isinstance(result, CachedBars)
            else result
            for symbol, result in results.items()
        }

    def window(
        self,
        symbol: str,
        *,
        bars: int,
        as_of: datetime | None,
        now: datetime,
        deadline: Deadline = NEVER,
    ) -> BarArrays:
        """The bars of `history`, as arrays; raises InsufficientBars when they are fewer."""
        fetched = self._bars(symbol, bars=bars, as_of=as_of, now=now, deadline=deadline)
        window = self._window(symbol, fetched, bars=bars, as_of=as_of)
        if isinstance(window, InsufficientBars):
            raise window
        return window

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

        With `as_of` only the bars that were known then, without it every bar that is final at
        `now`. The report is on the candles of the whole answer; its `accepted` counts
        the bars returned. The upstream's own deadline holds for the whole of it, and `deadline`
        when it comes sooner. Raises UnknownSymbol, UpstreamInvalid (also when every candle is
        bad), UpstreamUnavailable.
        """
        fetched = self._bars(symbol, bars=bars, as_of=as_of, now=now, deadline=deadline)
        end = fetched.arrays.count_final_at(as_of)
        arrays = fetched.arrays.slice(max(0, end - bars) if bars > 0 else 0, end)
        return CleanBars(arrays, replace(fetched.clean.report, accepted=arrays.rows))

    def nth_bar_final_at(self, symbol: str, *, bar: int, now: datetime) -> datetime | None:
        """When the `bar`-th bar of a symbol (from 1) was known; None when it isn't yet.

        None also where the upstream can't say it now: it only adds to a refusal.
        """
        try:
            arrays = self.history(symbol, bars=0, as_of=None, now=now).arrays
        except MlengineError:
            return None
        if arrays.rows < bar:
            return None
        return arrays.slice(0, bar).last_known_at

    def served(self, symbol: str, *, bars: int, now: datetime) -> CleanBars:
        """At least `bars` bars (0: all) as the upstream serves them now; raises as `history`."""
        return self._fetcher.fetch(symbol, bars=bars, as_of=None, now=now, deadline=NEVER).clean

    def ingest(self, symbol: str, *, now: datetime) -> CleanBars:
        """The whole history from the upstream, recorded in the store."""
        fetched = self._fetcher.fetch(symbol, bars=0, as_of=None, now=now, deadline=NEVER)
        answer = Answer(fetched.arrays, EPOCH, now)
        self.store.record({symbol: answer}, self.interval, seen_at=now)
        return fetched.clean

    def stored(self, symbol: str, *, bars: int = 0) -> BarArrays:
        """The newest `bars` recorded bars (0: all), oldest first; none where none ever were."""
        stored = self.store.newest([symbol], self.interval, bars=bars)
        return stored[symbol].held.tail(bars).arrays if symbol in stored else NO_BARS.arrays

    def export(self, folder: Path) -> dict[str, int]:
        """Write the recorded bars of each symbol as Parquet; returns how many each has.

        To `folder/{interval}/{symbol}.parquet`. Raises ArtifactsUnavailable.
        """
        rows: dict[str, int] = {}
        with atomic_files.translated_os_errors():
            atomic_files.make_directory(folder / self.interval)
            for symbol in self.store.symbols(self.interval):
                arrays = self.stored(symbol)
                if arrays.rows:
                    path = folder / self.interval / f"{quote(symbol, safe='')}.parquet"
                    atomic_files.replace_file(path, to_parquet(arrays.frame()))
                    rows[symbol] = arrays.rows
        return rows

    def _bars(
        self, symbol: str, *, bars: int, as_of: datetime | None, now: datetime, deadline: Deadline
    ) -> CachedBars:
        """The cached bars if the upstream could bring no others, else those fetched now."""
        cached = self._cached(symbol, bars=bars, as_of=as_of, now=now)
        if cached is not None:
            return cached
        fetched = self._fetcher.fetch(symbol, bars=bars, as_of=as_of, now=now, deadline=deadline)
        if as_of is None:
            self.cache.put(symbol, fetched)
        return fetched

    def _cached(
        self, symbol: str, *, bars: int, as_of: datetime | None, now: datetime
    ) -> CachedBars | None:
        cached = self.cache.get(symbol, now=now)
        if cached is None or (as_of is not None and as_of > cached.fetched_at):
            return None
        return cached if cached.suffices(bars, as_of) else None

    def _window(
        self, symbol: str, fetched: CachedBars, *, bars: int, as_of: datetime | None
    ) -> BarArrays | InsufficientBars:
        count = fetched.arrays.count_final_at(as_of)
        if count < bars:
            return InsufficientBars(symbol, needed=bars, got=count)
        return self._cut(symbol, fetched, count, bars)

    def _cut(self, symbol: str, fetched: CachedBars, end: int, bars: int) -> BarArrays:
        return fetched.window(end, bars, lambda window: self._suspect_reasons(symbol, window))

    def _suspect_reasons(self, symbol: str, window: CleanBars) -> tuple[str, ...]:
        calendar = self.markets.market(symbol).calendar
        return suspect_reasons(window, interval=self.interval, calendar=calendar)

    @cached_property
    def expectations(self) -> BarExpectations:
        """How old bars are, by what is expected of their symbol."""
        return BarExpectations(self.market, self.store, self.interval, self.markets, self.cache)

    @cached_property
    def _fetcher(self) -> BarFetcher:
        return BarFetcher(
            self.market,
            self.interval,
            self.cache_seconds,
            self.recheck_seconds,
            self.states,
            self.markets,
        )
