"""The upstream of market data: no more is fetched than is needed, and its candles are cleaned."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from mlengine.core.bars.bars import NO_BARS, BarsReport
from mlengine.core.bars.cleaning import clean_panel, from_each_start
from mlengine.core.bars.examples import dropped_text
from mlengine.core.bars.freshness import cache_expiry
from mlengine.core.bars.interval_check import interval_mismatches
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.bars.sessions import undated_days
from mlengine.core.bars.symbols import is_symbol
from mlengine.core.calendars.market import NO_MARKETS, MarketDirectory
from mlengine.core.timestamps import EPOCH
from mlengine.errors import MlengineError, UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.bars.cache import CachedBars
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.system.dependency_states import DependencyStates

log = logging.getLogger(__name__)

PART = "upstream"

_WEEK = timedelta(days=7)
# What an error says about the health of the upstream.
_STATE_OF: dict[type[MlengineError], str] = {
    UpstreamUnavailable: "down",
    UpstreamInvalid: "degraded",
    UnknownSymbol: "ok",
}


@dataclass(frozen=True)
class BarFetcher:
    """One source of bars of one interval; `states` records how it does.

    For how long bars are good: see `cache_expiry`, whose `min_seconds` are `cache_seconds` and
    whose `max_seconds` are `recheck_seconds`. A source that states itself when its bars are final
    may do so at any moment, and gets `cache_seconds` only.
    """

    source: MarketData
    interval: str
    cache_seconds: float
    recheck_seconds: float
    states: DependencyStates
    markets: MarketDirectory = NO_MARKETS

    def fetch(
        self,
        symbol: str,
        *,
        bars: int,
        as_of: datetime | None,
        now: datetime,
        deadline: Deadline,
        start: datetime | None = None,
    ) -> CachedBars:
        """From further and further back until `bars` of them are known (0: all there are).

        Or from `start` on, where that is given.

        Raises UnknownSymbol, UpstreamInvalid (also when every candle is bad) and
        UpstreamUnavailable.
        """
        if not is_symbol(symbol):
            raise UnknownSymbol(symbol)
        moment = now if as_of is None else as_of
        ends_at = self.source.deadline().sooner_of(deadline)
        try:
            if moment <= EPOCH:
                fetched = self._before_all_bars(symbol, now=now, deadline=ends_at)
            else:
                for since in _starts(bars, self.interval, moment) if start is None else [start]:
                    raw = self.source.candles(
                        symbol, self.interval, start=since, end=moment, deadline=ends_at
                    )
                    for refusal in self._mistaken(raw).values():
                        self.source.log_refusal(symbol, self.interval, refusal.reason)
                        raise refusal
                    cleaned = self._clean(raw, {symbol: since}, now=now)
                    fetched = cleaned[symbol]
                    if fetched.suffices(bars, as_of):
                        break
        except tuple(_STATE_OF) as error:
            self._recorded(error)
            raise
        result = self._accept(symbol, fetched)
        if isinstance(result, MlengineError):
            raise result
        self.states.record(PART, "ok")
        return result

    def fetch_many(
        self,
        symbols: Sequence[str],
        *,
        bars: int,
        as_of: datetime | None,
        now: datetime,
        starts: Mapping[str, datetime] | None = None,
    ) -> dict[str, CachedBars | MlengineError] | None:
        """What `fetch` brings of each symbol, or raises, from one pass over all of them.

        With `starts`, of which there must be some, from its own start on each. None where the
        source has to be asked symbol by symbol.
        """
        moment = now if as_of is None else as_of
        if moment <= EPOCH:
            return None
        results: dict[str, CachedBars | MlengineError] = {}
        pending = [symbol for symbol in symbols if is_symbol(symbol)]
        begin = [min(starts.values())] if starts else _starts(bars, self.interval, moment)
        for since in begin:
            panel = self.source.panel(pending, self.interval, start=since, end=moment)
            if panel is None:
                return None
            candles = from_each_start(panel.candles, starts) if starts else panel.candles
            refused = {**self._mistaken(candles), **panel.refused}
            asked_from = {symbol: starts[symbol] if starts else since for symbol in pending}
            cleaned = self._clean(candles, asked_from, now=now)
            for symbol, fetched in cleaned.items():
                if symbol in refused:
                    results[symbol] = self._recorded(refused[symbol])
                elif starts or fetched.suffices(bars, as_of):
                    results[symbol] = self._accept(symbol, fetched)
            pending = [symbol for symbol in pending if symbol not in results]
            if not pending:
                break
        accepted = sum(isinstance(each, CachedBars) for each in results.values())
        if accepted:
            self.states.record(PART, "ok", calls=accepted)
        return {symbol: results.get(symbol) or UnknownSymbol(symbol) for symbol in symbols}

    def _before_all_bars(self, symbol: str, *, now: datetime, deadline: Deadline) -> CachedBars:
        """No bars, for the time before there were any; raises UnknownSymbol all the same."""
        recently = now - _WEEK - INTERVALS[self.interval]
        self.source.candles(symbol, self.interval, start=recently, end=now, deadline=deadline)
        return CachedBars(NO_BARS, now, now, EPOCH)

    def _mistaken(self, raw: pl.DataFrame) -> dict[str, UpstreamInvalid]:
        """By symbol, why candles are of another interval, or nobody knows of which days."""
        undated = undated_days(raw, self.interval, self.markets)
        return {**undated, **interval_mismatches(raw, self.interval)}

    def _clean(
        self, raw: pl.DataFrame, asked_from: Mapping[str, datetime], *, now: datetime
    ) -> dict[str, CachedBars]:
        """The bars among the candles of each symbol, which were asked for from a moment on."""
        early = _early(raw, self.interval)
        clean = clean_panel(raw, interval=self.interval, now=now, markets=self.markets)
        cleaned: dict[str, CachedBars] = {}
        expiries: dict[tuple[int | None, bool], datetime] = {}
        for symbol, start in asked_from.items():
            bars = clean.get(symbol, NO_BARS)
            starts = bars.arrays.starts
            key = int(starts[-1]) if len(starts) else None, symbol in early
            until = expiries.get(key)
            if until is None:
                until = expiries[key] = cache_expiry(
                    bars.arrays.last_timestamp if len(starts) else None,
                    interval=self.interval,
                    fetched_at=now,
                    min_seconds=self.cache_seconds,
                    max_seconds=self.cache_seconds if symbol in early else self.recheck_seconds,
                )
            cleaned[symbol] = CachedBars(bars, now, until, start)
        return cleaned

    def _accept(self, symbol: str, fetched: CachedBars) -> CachedBars | MlengineError:
        """What came, unless all of it is bad."""
        report = fetched.clean.report
        self._log(symbol, report)
        if report.dropped and report.faulty and not fetched.arrays.rows:
            fault = f"not one of the candles of {symbol!r} can be used: {dropped_text(report)}"
            return self.refused(symbol, fault)
        return fetched

    def refused(self, symbol: str, reason: str) -> MlengineError:
        """Why the answer that came last can't be used, once log and state say so."""
        self.source.log_refusal(symbol, self.interval, reason)
        return self._recorded(UpstreamInvalid(reason))

    def _recorded(self, error: MlengineError) -> MlengineError:
        """`error`, once it is recorded what it says about the upstream."""
        self.states.record(PART, _STATE_OF[type(error)])
        return error

    def _log(self, symbol: str, report: BarsReport) -> None:
        # Many sources give the newest first: an order is no fault.
        is_mended = any(reason != "reordered" for reason in report.mended)
        is_faulty = is_mended or (report.dropped and report.faulty)
        level = logging.WARNING if is_faulty else logging.DEBUG
        if log.isEnabledFor(level):
            facts = {"symbol": symbol, "interval": self.interval, "accepted": report.accepted}
            counts = {"mended": dict(report.mended), "dropped": dict(report.dropped)}
            log.log(level, "bars judged", extra={**facts, **counts})


def _early(raw: pl.DataFrame, interval: str) -> frozenset[str]:
    """Symbols of which a candle states itself that it is final, or closes before its interval."""
    lasts = raw["closes_at"] - raw["timestamp"]
    states = raw["final"].is_not_null() | (lasts < 0.99 * INTERVALS[interval])
    return frozenset(raw.filter(states)["symbol"].to_list())


def _starts(bars: int, interval: str, moment: datetime) -> Iterator[datetime]:
    """From where so many bars follow, most likely; from long before that; then all there is.

    The first reaches over the weekends of daily bars, and over the longest holidays of an exchange.
    """
    if bars > 0:
        since_epoch = (moment - EPOCH) // INTERVALS[interval]
        for widened, further in (
            (min(2 * bars, bars * 3 // 2 + 12), timedelta()),
            (16 * bars, _WEEK),
        ):
            if widened < since_epoch - _WEEK // INTERVALS[interval] - 1:
                yield moment - widened * INTERVALS[interval] - further
    yield EPOCH
