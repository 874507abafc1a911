"""Bars for everyone: the newest final bars of a symbol as they were known at a moment."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import polars as pl

from mlengine.core.bar_window import BarWindow
from mlengine.core.bars import BARS_SCHEMA, BarsReport, CleanBars, clean_bars, known_at
from mlengine.core.freshness import good_until
from mlengine.core.intervals import EPOCH, INTERVALS, final_at
from mlengine.errors import (
    InsufficientBars,
    MlengineError,
    UnknownSymbol,
    UpstreamInvalid,
    UpstreamUnavailable,
)
from mlengine.stores.bar_cache import BarCache, HeldBars
from mlengine.stores.bars import BarStore
from mlengine.stores.checks import Checks
from mlengine.stores.market_data import MarketData
from mlengine.stores.market_data.deadline import NEVER, Deadline

log = logging.getLogger(__name__)

PART = "upstream"

_WEEK = timedelta(days=7)
_LONGEST_SYMBOL = 64
_NO_BARS = CleanBars(pl.DataFrame(schema=BARS_SCHEMA), BarsReport(0, {}, {}))


@dataclass(frozen=True)
class BarService:
    """Asks the upstream for no more than is needed, judges what comes, keeps it while it is new.

    How long that is: see `good_until`, whose `keen_seconds` are `cache_seconds` and whose
    `calm_seconds` are `recheck_seconds`. An upstream that says itself when its bars are final may
    do so at any moment, and gets `cache_seconds` only.
    """

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
        return _newest(self._cut(held.clean, as_of), bars)

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
        known = held.known(self.interval, as_of)
        if known < bars:
            raise InsufficientBars(symbol, needed=bars, got=known)
        return held.window(known, bars)

    def kept_window(
        self, symbol: str, *, bars: int, as_of: datetime | None, now: datetime
    ) -> BarWindow | None:
        """As `window` where the upstream need not be asked, else None."""
        held = self.cache.get(symbol, now=now)
        if held is None or not self._is_enough(held, bars=bars, as_of=as_of):
            return None
        known = held.known(self.interval, as_of)
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
        clean = self._ask(symbol, bars=0, as_of=None, now=now).clean
        self.store.write(symbol, self.interval, clean.frame)
        return clean

    def stored(self, symbol: str) -> pl.DataFrame:
        """What `fetch` has stored, oldest first; no rows for a symbol never fetched."""
        return self.store.read(symbol, self.interval)

    def _held(
        self, symbol: str, *, bars: int, as_of: datetime | None, now: datetime, deadline: Deadline
    ) -> HeldBars:
        """The cached bars if asking again could bring no other answer, else those asked for now."""
        held = self.cache.get(symbol, now=now)
        if held is not None and self._is_enough(held, bars=bars, as_of=as_of):
            return held
        asked = self._ask(symbol, bars=bars, as_of=as_of, now=now, deadline=deadline)
        if as_of is None:
            self.cache.put(symbol, asked)
        return asked

    def _is_enough(self, held: HeldBars, *, bars: int, as_of: datetime | None) -> bool:
        if as_of is not None and as_of > held.asked_at:
            return False
        return held.whole or 0 < bars <= held.known(self.interval, as_of)

    def _cut(self, clean: CleanBars, as_of: datetime | None) -> CleanBars:
        if as_of is None:
            return clean
        return replace(clean, frame=known_at(clean.frame, interval=self.interval, as_of=as_of))

    def _ask(
        self,
        symbol: str,
        *,
        bars: int,
        as_of: datetime | None,
        now: datetime,
        deadline: Deadline = NEVER,
    ) -> HeldBars:
        """Ask from further and further back until enough bars are known."""
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
                clean = clean_bars(raw, interval=self.interval, now=now)
                if 0 < bars <= self._cut(clean, as_of).frame.height:
                    break
            self._tell(symbol, clean)
            _refuse_all_bad(clean)
        return HeldBars(clean, now, self._good_until(raw, clean, now), whole=start == EPOCH)

    def _good_until(self, raw: pl.DataFrame, clean: CleanBars, now: datetime) -> datetime:
        calm = self.cache_seconds if _ends_early(raw, self.interval) else self.recheck_seconds
        return good_until(
            clean.frame["timestamp"][-1] if clean.frame.height else None,
            interval=self.interval,
            asked_at=now,
            keen_seconds=self.cache_seconds,
            calm_seconds=calm,
        )

    def _ask_whether_known(self, symbol: str, *, now: datetime, deadline: Deadline) -> HeldBars:
        """No bars, for the time before there were any; raises UnknownSymbol all the same."""
        recently = now - _WEEK - INTERVALS[self.interval]
        self.market.candles(symbol, self.interval, start=recently, end=now, deadline=deadline)
        return HeldBars(_NO_BARS, now, now, whole=True)

    def _tell(self, symbol: str, clean: CleanBars) -> None:
        report = clean.report
        level = logging.WARNING if report.rejected or report.mended else logging.DEBUG
        facts = {
            "symbol": symbol,
            "interval": self.interval,
            "accepted": report.accepted,
            "mended": dict(report.mended),
            "dropped": dict(report.dropped),
        }
        log.log(level, "bars judged", extra=facts)


def _ends_early(raw: pl.DataFrame, interval: str) -> bool:
    """Whether a candle says itself that it is final, or that it closes before its interval does."""
    stated = raw["final"].is_not_null().any()
    lasts = raw["closes_at"] - raw["timestamp"]
    return stated or bool((lasts < 0.99 * INTERVALS[interval]).any())


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


def _newest(clean: CleanBars, bars: int) -> CleanBars:
    frame = clean.frame.tail(bars) if bars > 0 else clean.frame
    return replace(clean, frame=frame, report=replace(clean.report, accepted=frame.height))


def _refuse_all_bad(clean: CleanBars) -> None:
    if clean.report.rejected and not clean.frame.height:
        reasons = ", ".join(sorted(clean.report.dropped))
        raise UpstreamInvalid(f"not one of its candles can be used ({reasons})")


@contextmanager
def _watched(checks: Checks) -> Iterator[None]:
    """Record how the upstream did."""
    try:
        yield
    except UpstreamUnavailable:
        checks.record(PART, "down")
        raise
    except UpstreamInvalid:
        checks.record(PART, "degraded")
        raise
    except UnknownSymbol:
        checks.record(PART, "ok")
        raise
    checks.record(PART, "ok")
