"""The bars that outcomes are read from: recorded ones, and what the upstream adds once due."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mlengine.core.bars.bars import NO_BARS, BarArrays
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.calendars.calendar import Calendar
from mlengine.core.calendars.inference import infer_calendar
from mlengine.errors import MlengineError, UnknownSymbol
from mlengine.services.bars.service import BarService

# As many as show holes and closures of a series.
_FEWEST_BARS = 64


@dataclass(frozen=True, eq=False)
class HeldBars:
    """What was known at `known_until`; `is_unknown` where the upstream has no such symbol."""

    bars: BarArrays
    known_until: datetime
    is_unknown: bool = False


@dataclass(frozen=True)
class OutcomeBars:
    """Bars of one interval, adjusted as those of a version were."""

    service: BarService

    def read(
        self, symbol: str, *, since: datetime, adjustment: str, now: datetime, fetch: bool
    ) -> HeldBars | None:
        """The bars from the one before `since` on, as recorded, or with `fetch` asked for now.

        None where they can't be had.
        """
        service = self.service
        if adjustment != service.adjustment:
            service = replace(service, adjustment=adjustment)
        if fetch:
            return _history(service, symbol, since, None, now)
        stored = service.store.newest([symbol], service.interval, bars=1).get(symbol)
        if stored is None:
            return None
        return _history(service, symbol, since, min(stored.series.fetched_at, now), now)

    def calendars(self, symbols: Sequence[str]) -> dict[str, Calendar]:
        """The calendar of each symbol, or the one that its recorded bars suggest."""
        stored = self.service.store.newest(symbols, self.service.interval, bars=_FEWEST_BARS)
        return {
            symbol: self.calendar(
                symbol, stored[symbol].held.arrays if symbol in stored else NO_BARS.arrays
            )
            for symbol in symbols
        }

    def calendar(self, symbol: str, bars: BarArrays) -> Calendar:
        """The calendar of its market, or the one that its bars suggest."""
        named = self.service.markets.market(symbol).calendar
        return named or infer_calendar(bars.starts, INTERVALS[self.service.interval])


def _history(
    service: BarService, symbol: str, since: datetime, as_of: datetime | None, now: datetime
) -> HeldBars | None:
    wanted = max(((as_of or now) - since) // INTERVALS[service.interval] + 3, _FEWEST_BARS)
    try:
        served = service.history(symbol, bars=wanted, as_of=as_of, now=now)
    except UnknownSymbol:
        return HeldBars(service.stored(symbol, bars=wanted), now, is_unknown=True)
    except MlengineError:
        return None
    age = timedelta(seconds=served.origin.upstream_age_seconds or 0.0)
    return HeldBars(served.arrays, (as_of or now) - age)
