"""Which bars are expected of each symbol: by its calendar, or by the one its bars suggest."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mlengine.core.arrays import Moments
from mlengine.core.bars.bars import NO_BARS, TIMESTAMP, BarArrays
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.recorded import NOTHING_HELD
from mlengine.core.calendars.age import BarAge
from mlengine.core.calendars.expected import MISSED_BARS, BarCadence
from mlengine.core.calendars.inference import DAYS_WITH_WEEKEND, infer_cadence, spans_weekend
from mlengine.core.calendars.market import MarketDirectory
from mlengine.core.timestamps import EPOCH
from mlengine.errors import MlengineError
from mlengine.services.bars.upstream.circuit_breaker import CircuitBreaker
from mlengine.stores.bars.cache import BarCache
from mlengine.stores.bars.store import BarStore
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.deadline import Deadline

_MAX_SYMBOLS = 10_000
# For so long it stands what the bars of a symbol suggest: where they span a weekend, where they are
# fewer, and where they can't be had.
_GOOD_FOR, _SHORT_GOOD_FOR = timedelta(days=1), timedelta(hours=1)
_FAILED_GOOD_FOR = timedelta(minutes=1)


@dataclass(frozen=True)
class _Expectation:
    """`cadence` is None where nothing but weekdays is known of the symbol."""

    cadence: BarCadence | None
    good_until: datetime


@dataclass(frozen=True)
class BarAgeService:
    """What bars suggest is worked out once a symbol, when its newest bar is late.

    The newest cached bars say it where they span a weekend, or those that are recorded; else, for
    some last for minutes only, those of the nine days before its last bar are fetched, unless an
    `outage` of the upstream is on.
    """

    source: MarketData
    store: BarStore
    interval: str
    markets: MarketDirectory
    cache: BarCache
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker, compare=False)
    _by_symbol: dict[str, _Expectation] = field(default_factory=dict, init=False, repr=False)
    _fetching: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def _width(self) -> timedelta:
        return INTERVALS[self.interval]

    def ages(
        self,
        windows: Mapping[str, BarArrays],
        *,
        moment: datetime,
        now: datetime,
        deadline: Deadline | None,
    ) -> dict[str, BarAge] | None:
        """The age at `moment` of the last bar of each window, one object for all of one age.

        Without a `deadline`, None where bars have to be fetched for it.
        """
        ages: dict[str, BarAge] = {}
        shared: dict[tuple[object, ...], BarAge | None] = {}
        of_cadence: dict[tuple[object, ...], BarAge] = {}
        for symbol, window in windows.items():
            start, age = window.last_timestamp, None
            if symbol not in self._by_symbol:
                market = self.markets.market(symbol)
                key = start, market.calendar, market.ends_at
                if key not in shared:
                    shared[key] = self._plain_age(symbol, start, moment)
                age = shared[key]
            if age is None:
                at_hand = window.starts
                age = (
                    self.age_at_hand(symbol, start, moment=moment, now=now, starts=at_hand)
                    if deadline is None
                    else self.age(
                        symbol, start, moment=moment, now=now, starts=at_hand, deadline=deadline
                    )
                )
                if age is None:
                    return None
                age = of_cadence.setdefault((start, age.cadence, age.ends_at), age)
            ages[symbol] = age
        return ages

    def age(
        self,
        symbol: str,
        start: datetime,
        *,
        moment: datetime,
        now: datetime,
        starts: Moments = NO_BARS.arrays.starts,
        deadline: Deadline,
    ) -> BarAge:
        """The age at `moment` of the bar of `symbol` that begins at `start`.

        `starts` are of bars at hand that end with it. Nothing is fetched once `deadline` is over.
        """
        age = self.age_at_hand(symbol, start, moment=moment, now=now, starts=starts)
        if age is not None:
            return age
        patience = min(max(deadline.left_seconds, 0.0), threading.TIMEOUT_MAX)
        if not self._fetching.acquire(timeout=patience):
            return self._age(symbol, start, moment, self._cadence(symbol, starts))
        try:
            known = self._by_symbol.get(symbol)
            if not known or known.good_until <= now:
                known = self._from_upstream(symbol, start, now, starts, deadline)
        finally:
            self._fetching.release()
        return self._age(symbol, start, moment, known.cadence)

    def age_at_hand(
        self,
        symbol: str,
        start: datetime,
        *,
        moment: datetime,
        now: datetime,
        starts: Moments = NO_BARS.arrays.starts,
    ) -> BarAge | None:
        """As `age`; None where bars have to be fetched for it."""
        known = self._by_symbol.get(symbol)
        if known and now < known.good_until:
            return self._age(symbol, start, moment, known.cadence)
        if plain := self._plain_age(symbol, start, moment):
            return plain
        at_hand = max(self.cache.starts(symbol), starts, key=len)
        if not spans_weekend(at_hand, self._width):
            return None
        known = self._remember(symbol, at_hand, now + _GOOD_FOR)
        return self._age(symbol, start, moment, known.cadence)

    def _plain_age(self, symbol: str, start: datetime, moment: datetime) -> BarAge | None:
        """By the calendar that is named, if any; None where the bar is late by that."""
        age = self._age(symbol, start, moment, self._named(symbol))
        if not age.exceeds_on_wall_clock(MISSED_BARS) or (age.cadence and not age.is_stale):
            return age
        return None

    def _age(
        self, symbol: str, start: datetime, moment: datetime, cadence: BarCadence | None
    ) -> BarAge:
        ends_at = self.markets.market(symbol).ends_at
        return BarAge(start, self._width, moment, cadence, ends_at)

    def _from_upstream(
        self, symbol: str, start: datetime, now: datetime, at_hand: Moments, deadline: Deadline
    ) -> _Expectation:
        if deadline.left_seconds <= 0:
            return _Expectation(self._cadence(symbol, at_hand), now)
        try:
            fetched = self._stored_starts(symbol)
            if not spans_weekend(fetched, self._width):
                if self.breaker.is_on(now):
                    return self._remember(symbol, at_hand, self.breaker.retry_at(now))
                fetched = self._fetch_starts(symbol, start, deadline)
        except MlengineError:
            return self._remember(symbol, at_hand, now + _FAILED_GOOD_FOR)
        spans = spans_weekend(fetched, self._width)
        starts = max(fetched, at_hand, key=len)
        return self._remember(symbol, starts, now + (_GOOD_FOR if spans else _SHORT_GOOD_FOR))

    def _named(self, symbol: str) -> BarCadence | None:
        calendar = self.markets.market(symbol).calendar
        return BarCadence(calendar, self._width) if calendar else None

    def _stored_starts(self, symbol: str) -> Moments:
        """When the newest recorded bars begin, as many as nine days can have."""
        bars = DAYS_WITH_WEEKEND // self._width + 1
        stored = self.store.newest([symbol], self.interval, bars=bars).get(symbol)
        return (stored.held if stored else NOTHING_HELD).arrays.starts

    def _fetch_starts(self, symbol: str, start: datetime, deadline: Deadline) -> Moments:
        """When the bars of the nine days up to the one that begins at `start` begin."""
        end = start + self._width
        first = max(end - DAYS_WITH_WEEKEND, EPOCH)
        by_then = self.source.deadline().sooner_of(deadline)
        raw = self.source.candles(symbol, self.interval, start=first, end=end, deadline=by_then)
        starts = raw["timestamp"].drop_nulls().cast(TIMESTAMP).to_physical()
        return starts.unique().sort().to_numpy()

    def _remember(self, symbol: str, starts: Moments, good_until: datetime) -> _Expectation:
        if len(self._by_symbol) >= _MAX_SYMBOLS:
            self._by_symbol.clear()
        self._by_symbol[symbol] = _Expectation(self._cadence(symbol, starts), good_until)
        return self._by_symbol[symbol]

    def _cadence(self, symbol: str, starts: Moments) -> BarCadence | None:
        named = self.markets.market(symbol).calendar
        return infer_cadence(starts, self._width, named=named)
