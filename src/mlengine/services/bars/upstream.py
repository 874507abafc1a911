"""The upstream of market data: asked for no more than is needed, and judged."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from mlengine.core.bars.bars import NOTHING_JUDGED, RAW_SCHEMA, JudgedBars
from mlengine.core.bars.cleaning import clean_panel
from mlengine.core.bars.freshness import good_until
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.timestamps import EPOCH
from mlengine.errors import MlengineError, UnknownSymbol, UpstreamInvalid, UpstreamUnavailable
from mlengine.stores.bars.cache import CachedBars
from mlengine.stores.market_data import MarketData, Panel
from mlengine.stores.market_data.deadline import Deadline
from mlengine.stores.system.health_checks import Checks

log = logging.getLogger(__name__)

PART = "upstream"

_WEEK = timedelta(days=7)
_LONGEST_SYMBOL = 64
# What an error says about the upstream.
_SAID: dict[type[MlengineError], str] = {
    UpstreamUnavailable: "down",
    UpstreamInvalid: "degraded",
    UnknownSymbol: "ok",
}


@dataclass(frozen=True)
class Upstream:
    """One source of bars of one interval; `checks` know how it did.

    For how long an answer is good: see `good_until`, whose `keen_seconds` are `cache_seconds` and
    whose `calm_seconds` are `recheck_seconds`. A source that says itself when its bars are final
    may do so at any moment, and gets `cache_seconds` only.
    """

    market: MarketData
    interval: str
    cache_seconds: float
    recheck_seconds: float
    checks: Checks

    def ask(
        self,
        symbol: str,
        *,
        bars: int,
        as_of: datetime | None,
        now: datetime,
        deadline: Deadline,
    ) -> CachedBars:
        """From further and further back until `bars` of them are known (0: all there are).

        Raises UnknownSymbol, UpstreamInvalid (also when every candle was bad) and
        UpstreamUnavailable.
        """
        if not _may_be_symbol(symbol):
            raise UnknownSymbol(symbol)
        moment = now if as_of is None else as_of
        soonest = self.market.deadline().or_sooner(deadline)
        with _watched(self.checks):
            if moment <= EPOCH:
                return self._ask_whether_known(symbol, now=now, deadline=soonest)
            for start in _starts(bars, self.interval, moment):
                raw = self.market.candles(
                    symbol, self.interval, start=start, end=moment, deadline=soonest
                )
                judged = self._judged(raw, now=now, whole=start == EPOCH)
                held = judged.get(symbol) or self._nothing(now, whole=start == EPOCH)
                if 0 < bars <= held.count_at(self.interval, as_of):
                    break
            self._tell(symbol, held.clean)
            refusal = _refusal(held.clean)
            if refusal:
                raise refusal
        return held

    def ask_all(
        self, symbols: Sequence[str], *, bars: int, as_of: datetime | None, now: datetime
    ) -> dict[str, CachedBars | MlengineError] | None:
        """What `ask` says to each symbol, or why it says nothing, from one pass over all of them.

        None where the source has to be asked symbol by symbol.
        """
        moment = now if as_of is None else as_of
        if moment <= EPOCH:
            return None
        found: dict[str, CachedBars | MlengineError] = {}
        pending = [symbol for symbol in symbols if _may_be_symbol(symbol)]
        for start in _starts(bars, self.interval, moment):
            panel = self._panel(pending, start=start, end=moment)
            if panel is None:
                return None
            whole = start == EPOCH
            judged = self._judged(panel.candles, now=now, whole=whole)
            for symbol in pending:
                held = judged.get(symbol) or self._nothing(now, whole=whole)
                if symbol in panel.refused:
                    found[symbol] = self._noted(panel.refused[symbol])
                elif whole or 0 < bars <= held.count_at(self.interval, as_of):
                    found[symbol] = self._settled(symbol, held)
            pending = [symbol for symbol in pending if symbol not in found]
            if not pending:
                break
        return {symbol: found.get(symbol) or UnknownSymbol(symbol) for symbol in symbols}

    def _panel(self, symbols: Sequence[str], *, start: datetime, end: datetime) -> Panel | None:
        try:
            return self.market.panel(symbols, self.interval, start=start, end=end)
        except UpstreamUnavailable as error:
            return Panel(pl.DataFrame(schema=RAW_SCHEMA), dict.fromkeys(symbols, error))

    def _judged(self, raw: pl.DataFrame, *, now: datetime, whole: bool) -> dict[str, CachedBars]:
        """The answer for each symbol that has candles in `raw`."""
        early = _early(raw, self.interval)
        return {
            symbol: CachedBars(
                each, now, self._good_until(each, now, says_itself=symbol in early), whole
            )
            for symbol, each in clean_panel(raw, interval=self.interval, now=now).items()
        }

    def _nothing(self, now: datetime, *, whole: bool) -> CachedBars:
        until = self._good_until(NOTHING_JUDGED, now, says_itself=False)
        return CachedBars(NOTHING_JUDGED, now, until, whole)

    def _good_until(self, known: JudgedBars, now: datetime, *, says_itself: bool) -> datetime:
        return good_until(
            known.columns.newest if known.columns.rows else None,
            interval=self.interval,
            asked_at=now,
            keen_seconds=self.cache_seconds,
            calm_seconds=self.cache_seconds if says_itself else self.recheck_seconds,
        )

    def _settled(self, symbol: str, held: CachedBars) -> CachedBars | MlengineError:
        self._tell(symbol, held.clean)
        refusal = _refusal(held.clean)
        if refusal:
            return self._noted(refusal)
        self.checks.record(PART, "ok")
        return held

    def _noted(self, error: MlengineError) -> MlengineError:
        """`error`, once the checks know what it says about the upstream."""
        if type(error) in _SAID:
            self.checks.record(PART, _SAID[type(error)])
        return error

    def _ask_whether_known(self, symbol: str, *, now: datetime, deadline: Deadline) -> CachedBars:
        """No bars, for the time before there were any; raises UnknownSymbol all the same."""
        recently = now - _WEEK - INTERVALS[self.interval]
        self.market.candles(symbol, self.interval, start=recently, end=now, deadline=deadline)
        return CachedBars(NOTHING_JUDGED, now, now, whole=True)

    def _tell(self, symbol: str, clean: JudgedBars) -> None:
        report = clean.report
        level = logging.WARNING if report.rejected or report.mended else logging.DEBUG
        if not log.isEnabledFor(level):
            return
        facts = {
            "symbol": symbol,
            "interval": self.interval,
            "accepted": report.accepted,
            "mended": dict(report.mended),
            "dropped": dict(report.dropped),
        }
        log.log(level, "bars judged", extra=facts)


def _early(raw: pl.DataFrame, interval: str) -> frozenset[str]:
    """Symbols of which a candle says itself that it is final, or closes before its interval."""
    lasts = raw["closes_at"] - raw["timestamp"]
    says = raw["final"].is_not_null() | (lasts < 0.99 * INTERVALS[interval])
    return frozenset(raw.filter(says)["symbol"].to_list())


def _may_be_symbol(symbol: str) -> bool:
    """No empty, endless or unprintable text is sent to an upstream."""
    return 0 < len(symbol) <= _LONGEST_SYMBOL and symbol.isprintable()


def _starts(bars: int, interval: str, moment: datetime) -> Iterator[datetime]:
    """Twice the span of so many bars, eight times that and a week, then all there is."""
    if bars > 0:
        since_epoch = (moment - EPOCH) // INTERVALS[interval]
        for widened, further in ((2 * bars, timedelta()), (16 * bars, _WEEK)):
            if widened < since_epoch - _WEEK // INTERVALS[interval] - 1:
                yield moment - widened * INTERVALS[interval] - further
    yield EPOCH


def _refusal(clean: JudgedBars) -> UpstreamInvalid | None:
    """Why an answer is none when all that came was bad."""
    if clean.columns.rows or not clean.report.rejected:
        return None
    reasons = ", ".join(sorted(clean.report.dropped))
    return UpstreamInvalid(f"not one of its candles can be used ({reasons})")


@contextmanager
def _watched(checks: Checks) -> Iterator[None]:
    """Record how the upstream did."""
    try:
        yield
    except tuple(_SAID) as error:
        checks.record(PART, _SAID[type(error)])
        raise
    checks.record(PART, "ok")
