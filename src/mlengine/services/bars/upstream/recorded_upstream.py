"""The upstream behind the bar store: only what is missing is asked for, and all of it recorded."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from mlengine.core.bars.recorded_panel import diffs
from mlengine.core.bars.symbols import is_symbol
from mlengine.core.timestamps import EPOCH
from mlengine.errors import (
    DatabaseUnavailable,
    MlengineError,
    UpstreamInvalid,
    UpstreamUnavailable,
)
from mlengine.services.bars.upstream.bulkhead import UpstreamBulkhead, too_many_waits
from mlengine.services.bars.upstream.circuit_breaker import CircuitBreaker
from mlengine.services.bars.upstream.fetcher import BarFetcher
from mlengine.services.bars.upstream.held_bars import held_bars, is_good, kept_in_memory
from mlengine.services.bars.upstream.incremental_fetcher import IncrementalFetcher, start_of
from mlengine.stores.bars.cache import CachedBars
from mlengine.stores.bars.store import BarStore
from mlengine.stores.bars.stored import UpstreamBars
from mlengine.stores.market_data.deadline import NEVER, Deadline

log = logging.getLogger(__name__)

# So many bars stay in memory of a series that goes on and on.
_BARS_IN_MEMORY = 5_000
_SILENT = "it has given no answer for some time"


@dataclass(frozen=True)
class RecordedUpstream:
    """What the upstream has of a symbol, recorded before anybody sees it.

    While it can't be reached, recorded bars serve for `max_stale_seconds` from its last answer on;
    also where a service answers what can't be used. A file is for its owner to mend, and refused.
    """

    fetcher: BarFetcher
    store: BarStore
    max_stale_seconds: float
    bulkhead: UpstreamBulkhead
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker, compare=False)
    most_bars_in_memory: int = _BARS_IN_MEMORY

    @cached_property
    def delta(self) -> IncrementalFetcher:
        """What asks for the bars that are not recorded yet."""
        return IncrementalFetcher(self.fetcher)

    def refresh(
        self,
        symbol: str,
        cached: CachedBars | None,
        *,
        bars: int,
        now: datetime,
        deadline: Deadline,
        since: datetime | None = None,
        anew: bool = False,
        is_believed: bool = False,
    ) -> CachedBars:
        """The newest `bars` final bars (0: all) at `now`; `cached` are those of before.

        An answer that the upstream gave before `since` will not do. `anew`, all are asked for,
        whatever is recorded, and nothing else serves; `is_believed`, also where they are of another
        series. Raises what `IncrementalFetcher.ask` raises.
        """
        held = self._held([symbol], {symbol: cached} if cached else {}, bars=bars).get(symbol)
        serves = held if held and held.suffices(bars, None) and not anew else None
        if serves and is_good(serves, now, since):
            return serves
        stale = self._stale(serves, now)
        is_doubted = self._is_service and not is_believed and self._stale(held, now) is not None
        if not self.breaker.may_ask(now, has_bars=stale is not None):
            refusal = UpstreamUnavailable(_SILENT, self.breaker.retry_seconds(now))
            return self._served_or(refusal, stale, now)
        ends_at = self.fetcher.source.deadline().sooner_of(deadline)
        with self.bulkhead.try_slot() as may_wait:
            if not may_wait:
                return self._served_or(too_many_waits(), stale, now)
            try:
                with self.breaker.attempt(now):
                    fetched = self.delta.ask(
                        symbol,
                        serves,
                        bars=bars,
                        now=now,
                        deadline=ends_at,
                        recorded=held,
                        is_doubted=is_doubted,
                    )
            except UpstreamUnavailable as error:
                return self._served_or(error, stale, now)
            except MlengineError as error:
                if stale is None or not self._may_serve_on(error):
                    raise
                facts = {"symbol": symbol, "reason": str(error)}
                log.warning("recorded bars serve on", extra=facts)
                return self._served_on([stale], now)[0]
        return self._recorded({symbol: fetched}, {symbol: held} if held else {}, bars, now)[symbol]

    def recorded_while_hanging(
        self, symbol: str, cached: CachedBars | None, *, bars: int, now: datetime
    ) -> CachedBars | None:
        """What serves, if anything does, while questions get no answer for long."""
        if not self.breaker.hangs():
            return None
        held = self._held([symbol], {symbol: cached} if cached else {}, bars=bars).get(symbol)
        is_due = held and held.suffices(bars, None) and now >= held.expires_at
        stale = self._stale(held, now) if is_due else None
        return self._served_on([stale], now)[0] if stale else None

    def fetch_as_of(
        self, symbol: str, as_of: datetime, *, bars: int, now: datetime, deadline: Deadline
    ) -> CachedBars:
        """What `BarFetcher.fetch` brings or raises, which is not recorded."""
        if not self.breaker.may_ask(now, has_bars=False):
            raise UpstreamUnavailable(_SILENT, self.breaker.retry_seconds(now))
        with self.bulkhead.required_slot(), self.breaker.attempt(now):
            return self.fetcher.fetch(symbol, bars=bars, as_of=as_of, now=now, deadline=deadline)

    def refresh_many(
        self,
        symbols: Sequence[str],
        cached: Mapping[str, CachedBars],
        *,
        bars: int,
        now: datetime,
        since: datetime | None = None,
    ) -> dict[str, CachedBars | MlengineError]:
        """What `refresh` gives or raises, of each symbol that is at hand."""
        held = self._held(symbols, cached, bars=bars)
        serving = {symbol: each for symbol, each in held.items() if each.suffices(bars, None)}
        results: dict[str, CachedBars | MlengineError] = {
            symbol: each for symbol, each in serving.items() if is_good(each, now, since)
        }
        pending = [symbol for symbol in symbols if symbol not in results]
        asked = {} if self.breaker.is_on(now) else self.delta.ask_many(pending, serving, bars, now)
        fetched = {s: each for s, each in asked.items() if isinstance(each, CachedBars)}
        results |= asked | self._recorded(fetched, held, bars, now)
        stale = {
            symbol: each
            for symbol in pending
            if isinstance(results.get(symbol), UpstreamUnavailable) or self.breaker.is_on(now)
            if (each := self._stale(serving.get(symbol), now))
        }
        return results | dict(zip(stale, self._served_on(list(stale.values()), now), strict=True))

    def _held(
        self, symbols: Sequence[str], cached: Mapping[str, CachedBars], *, bars: int
    ) -> dict[str, CachedBars]:
        """What is recorded of each symbol, from memory where nothing was recorded since."""
        symbols = [symbol for symbol in symbols if is_symbol(symbol)]
        in_memory = {s: each.stored for s, each in cached.items() if each.stored}
        try:
            stored = self.store.newest(
                symbols, self.fetcher.interval, bars=bars, in_memory=in_memory
            )
        except DatabaseUnavailable:
            return {symbol: cached[symbol] for symbol in in_memory}
        return {
            symbol: held_bars(each, cached.get(symbol))
            for symbol, each in stored.items()
            if each.series.recordings
        }

    def _recorded(
        self,
        fetched: Mapping[str, CachedBars],
        held: Mapping[str, CachedBars],
        bars: int,
        now: datetime,
    ) -> dict[str, CachedBars]:
        """What was fetched, with what was held of it before, once it is recorded.

        Where that can't be, bars serve all the same, and are recorded with the next answer.
        """
        answers = self.delta.answers(fetched, held, bars, now)
        if not answers:
            return dict(fetched)
        try:
            stored = self.store.record(answers, self.fetcher.interval, seen_at=now).bars
        except DatabaseUnavailable as error:
            log.warning("bars not recorded", extra={"symbols": len(answers), "reason": str(error)})
            return dict(fetched) | {
                symbol: self._unrecorded(fetched[symbol], answer, now)
                for symbol, answer in answers.items()
                if answer.base
            }
        most = max(min(_BARS_IN_MEMORY, self.most_bars_in_memory), 4 * bars)
        return dict(fetched) | {
            symbol: kept_in_memory(each, bars, most) for symbol, each in stored.items()
        }

    def _unrecorded(self, fetched: CachedBars, answer: UpstreamBars, now: datetime) -> CachedBars:
        """An answer that could not be recorded, with the bars that it follows."""
        if answer.base is None:
            return fetched
        held, series = answer.base.held, answer.base.series
        (diff,) = diffs([answer.beside(held, series, self.fetcher.interval, now)])
        arrays = diff.after.arrays
        clean = replace(fetched.clean, arrays=arrays)
        entire = answer.base.entire_history or fetched.entire_history
        return replace(
            fetched, clean=clean, asked_from=EPOCH if entire else start_of(arrays), stored=None
        )

    def _may_serve_on(self, error: MlengineError) -> bool:
        """Whether another machine meant to answer, and what it said can't be used."""
        is_unusable = isinstance(error, UpstreamInvalid) and not error.is_refusal
        return is_unusable and self._is_service

    @property
    def _is_service(self) -> bool:
        return self.fetcher.source.deadline() != NEVER

    def _stale(self, held: CachedBars | None, now: datetime) -> CachedBars | None:
        """What serves while the upstream can't be reached, if anything does."""
        longest = timedelta(seconds=self.max_stale_seconds)
        return held if held and held.arrays.rows and now - held.fetched_at <= longest else None

    def _served_or(
        self, refusal: UpstreamUnavailable, stale: CachedBars | None, now: datetime
    ) -> CachedBars:
        """The bars that serve on; raises `refusal` without any."""
        if stale is None:
            raise refusal
        return self._served_on([stale], now)[0]

    def _served_on(self, stale: Sequence[CachedBars], now: datetime) -> list[CachedBars]:
        """These bars, until somebody tries the upstream again."""
        if not stale:
            return []
        until = self.breaker.retry_at(now)
        try:
            symbols = [each.arrays.symbol for each in stale]
            self.store.extend_served(symbols, self.fetcher.interval, until)
        except DatabaseUnavailable:
            log.warning("outage not recorded", extra={"symbols": len(stale)})
        return [replace(each, expires_at=until, outage=True) for each in stale]
