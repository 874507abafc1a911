"""Bars for everyone: the newest final bars of a symbol as they were known at a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from urllib.parse import quote

from mlengine.core.bars.bars import NO_BARS, BarArrays, CleanBars
from mlengine.core.calendars.market import NO_MARKETS, MarketDirectory
from mlengine.errors import DatabaseUnavailable, InsufficientBars, MlengineError
from mlengine.services.actions.service import ActionsService
from mlengine.services.bars.adjuster import Adjuster
from mlengine.services.bars.bar_ages import BarAgeService
from mlengine.services.bars.live import LiveBars
from mlengine.services.bars.past import PastBars
from mlengine.services.bars.served import LIVE, BarsView, ServedBars, ServedWindow
from mlengine.services.bars.upstream.bulkhead import UpstreamBulkhead
from mlengine.services.bars.upstream.fetcher import BarFetcher
from mlengine.services.bars.upstream.recorded_upstream import RecordedUpstream
from mlengine.services.bars.views import BarsViewBuilder
from mlengine.services.bars.window_cutter import WindowCutter
from mlengine.stores.bars.action_store import ActionStore
from mlengine.stores.bars.cache import BarCache, CachedBars
from mlengine.stores.bars.store import BarStore
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.deadline import NEVER, Deadline
from mlengine.stores.system import atomic_files
from mlengine.stores.system.dependency_states import DependencyStates
from mlengine.stores.system.table_files import to_parquet


@dataclass(frozen=True)
class BarService:
    """Fetches from the upstream, records, and caches for as long as bars are as good as new.

    While the upstream can't be reached, what it said at most `max_stale_seconds` ago serves. With
    `anew` all of a history of now is asked for, whatever is recorded, so that its report is on all.
    """

    source: MarketData
    store: BarStore
    interval: str
    cache_seconds: float
    states: DependencyStates
    cache: BarCache = field(default_factory=BarCache, repr=False, compare=False)
    recheck_seconds: float = 60.0
    markets: MarketDirectory = NO_MARKETS
    max_stale_seconds: float = 0.0
    anew: bool = False
    adjustment: str = "none"
    bulkhead: UpstreamBulkhead = field(default_factory=UpstreamBulkhead, repr=False, compare=False)

    def notice_recordings(self) -> None:
        """Let `cached_windows` give no bars that another process has recorded anew; cheap."""
        self._views.live.notice_recordings()

    def cached_windows(
        self, symbols: Sequence[str], *, bars: int, as_of: datetime | None, now: datetime
    ) -> dict[str, ServedWindow]:
        """`window` of each symbol for which neither the upstream nor the store need be asked.

        As of the last `notice_recordings`.
        """
        if as_of is None:
            self.cache.mark_used(symbols)
        views = self._views.many_in_memory(symbols, bars=bars, as_of=as_of, now=now)
        windows = self._cutter.cut_many(views, bars).items()
        return {symbol: each for symbol, each in windows if isinstance(each, ServedWindow)}

    def last_bars(
        self, symbols: Sequence[str], *, as_of: datetime, now: datetime
    ) -> dict[str, BarArrays]:
        """The newest bar of each symbol that was known then; who has none is left out."""
        return self._views.last_bars(symbols, as_of=as_of, now=now)

    def windows_in_one_pass(
        self, symbols: Sequence[str], *, bars: int, as_of: datetime | None, now: datetime
    ) -> dict[str, ServedWindow | MlengineError]:
        """`window` of each symbol, or why it has none, from one pass over them; in their order.

        The cache is not read; an upstream that answers for many symbols at once is asked, and what
        it says recorded. A symbol for which it has to be asked on its own is left out.
        """
        views = self._views.views_in_one_pass(symbols, bars=bars, as_of=as_of, now=now)
        windows = self._cutter.cut_many(views, bars)
        return {symbol: windows[symbol] for symbol in symbols if symbol in windows}

    def window(
        self,
        symbol: str,
        *,
        bars: int,
        as_of: datetime | None,
        now: datetime,
        deadline: Deadline = NEVER,
    ) -> ServedWindow:
        """The bars of `history`, as arrays; raises InsufficientBars when they are fewer."""
        view = self._views.view(symbol, bars=bars, as_of=as_of, now=now, deadline=deadline)
        window = self._cutter.cut(symbol, view, bars)
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
    ) -> ServedBars:
        """The newest `bars` final bars (0: all), oldest first; fewer when there are no more.

        With `as_of` only the bars that were known then, without it every bar that is final at
        `now`. The report is on the candles of the last answer; its `accepted` counts the bars
        returned. The upstream's own deadline holds for the whole of it, and `deadline` when it
        comes sooner. Raises UnknownSymbol, UpstreamInvalid (also when every candle is bad),
        UpstreamUnavailable.
        """
        symbol = self.markets.canonical(symbol)
        return _history(
            self._views.view(symbol, bars=bars, as_of=as_of, now=now, deadline=deadline), bars
        )

    def fetch_bypassing_store_as_of(
        self, symbol: str, *, bars: int, as_of: datetime, now: datetime
    ) -> BarArrays:
        """As `history`, but as the upstream tells it now, whatever is recorded."""
        fetched = self._fetcher.fetch(symbol, bars=bars, as_of=as_of, now=now, deadline=NEVER)
        raw = BarsView(fetched, fetched.arrays.count_known_at(as_of), LIVE)
        view = self._views.adjusted(symbol, raw, bars=bars, as_of=as_of, now=now)
        return _history(view, bars).arrays

    def nth_bar_known_at(self, symbol: str, *, bar: int, now: datetime) -> datetime | None:
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

    def fetch_bypassing_store(self, symbol: str, *, bars: int, now: datetime) -> CleanBars:
        """At least `bars` bars (0: all) as the upstream serves them now, past the store.

        Adjusted, and with those of earlier symbols; raises as `history`.
        """
        fetch = partial(self._fetcher.fetch, bars=bars, as_of=None, now=now, deadline=NEVER)
        clean = fetch(symbol).clean
        adjusted = self._adjuster.adjusted_as_stated(symbol, clean.arrays, fetch, now=now)
        return replace(clean, arrays=adjusted, report=replace(clean.report, accepted=adjusted.rows))

    def ingest(self, symbol: str, *, now: datetime) -> CleanBars:
        """The whole history from the upstream, recorded in the store; and its actions of now."""
        symbol = self.markets.canonical(symbol)
        fetched = self._refreshed(symbol, bars=0, now=now, deadline=NEVER)
        if fetched.stored is None:
            raise DatabaseUnavailable("the bars could not be recorded")
        self._adjuster.refresh([symbol], now=now, deadline=NEVER, anew=True)
        return fetched.clean

    def stored(self, symbol: str, *, bars: int = 0) -> BarArrays:
        """The newest `bars` recorded bars (0: all), oldest first; none where none ever were."""
        symbol = self.markets.canonical(symbol)
        stored = self.store.newest([symbol], self.interval, bars=bars)
        return stored[symbol].held.tail(bars).arrays if symbol in stored else NO_BARS.arrays

    def export(self, folder: Path) -> dict[str, int]:
        """Write the recorded bars of each symbol as Parquet; returns how many each has.

        To `folder/{interval}/{symbol}.parquet`. Raises ArtifactsUnavailable.
        """
        rows: dict[str, int] = {}
        with atomic_files.translated_os_errors():
            atomic_files.make_directory(folder / self.interval)
            for symbol in sorted(self.store.recording_counts(self.interval)):
                if (arrays := self.stored(symbol)).rows:
                    path = folder / self.interval / f"{quote(symbol, safe='')}.parquet"
                    content = to_parquet(arrays.frame())
                    atomic_files.replace_file(path, content, mode=atomic_files.PUBLIC)
                    rows[symbol] = arrays.rows
        return rows

    def _refreshed(
        self, symbol: str, *, bars: int, now: datetime, deadline: Deadline
    ) -> CachedBars:
        """The bars of now, all of them asked for and recorded."""
        return self._upstream.refresh(
            symbol, None, bars=bars, now=now, deadline=deadline, anew=True, is_believed=True
        )

    def actions_applied(self, symbol: str, bars: BarArrays, *, at: datetime) -> int:
        """How many corporate actions, known then, the bars that were served are adjusted for."""
        return self._adjuster.count(symbol, bars, at)

    @cached_property
    def _cutter(self) -> WindowCutter:
        return WindowCutter(self.interval, self.markets)

    @cached_property
    def _adjuster(self) -> Adjuster:
        actions = ActionsService(self.source, ActionStore(self.store.engine), self.markets)
        return Adjuster(actions, self.adjustment, self.interval)

    @cached_property
    def bar_ages(self) -> BarAgeService:
        """How old bars are, by what is expected of their symbol."""
        outage = self._upstream.breaker
        return BarAgeService(
            self.source, self.store, self.interval, self.markets, self.cache, outage
        )

    @cached_property
    def _fetcher(self) -> BarFetcher:
        return BarFetcher(
            self.source,
            self.interval,
            self.cache_seconds,
            self.recheck_seconds,
            self.states,
            self.markets,
        )

    @cached_property
    def _upstream(self) -> RecordedUpstream:
        stale, most = self.max_stale_seconds, self.cache.most_bars
        return RecordedUpstream(
            self._fetcher, self.store, stale, self.bulkhead, most_bars_in_memory=most
        )

    @cached_property
    def _views(self) -> BarsViewBuilder:
        live = LiveBars(self._upstream, self.cache)
        return BarsViewBuilder(live, PastBars(live), self._adjuster, self.anew)


def _history(view: BarsView, bars: int) -> ServedBars:
    first = max(0, view.end - bars) if bars > 0 else 0
    arrays = view.cached.arrays.slice(first, view.end)
    report = replace(view.cached.clean.report, accepted=arrays.rows)
    return ServedBars(arrays, report, view.origin)
