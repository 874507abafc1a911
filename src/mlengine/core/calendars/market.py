"""Where a symbol is traded, and the directory of all symbols."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from mlengine.core.calendars.calendar import Calendar

_MAX_SYMBOLS = 10_000


@dataclass(frozen=True)
class Market:
    """One symbol's market; None is what nobody stated, and `last` None is still traded."""

    symbol: str
    calendar: Calendar | None = None
    timezone: ZoneInfo | None = None
    currency: str | None = None
    first: date | None = None
    last: date | None = None
    aliases: tuple[str, ...] = ()

    @cached_property
    def ends_at(self) -> datetime | None:
        """When its last day is over: no bar is expected after that."""
        if self.last is None:
            return None
        day_after = self.last + timedelta(days=1)
        return datetime.combine(day_after, time(), self.timezone or UTC).astimezone(UTC)


@dataclass(frozen=True)
class MarketDirectory:
    """What the file of symbols states by symbol, and what holds where it states nothing.

    With `negative_prices` prices may be zero or below, as those of spreads are.
    """

    markets: Mapping[str, Market] = field(default_factory=dict)
    default_calendar: Calendar | None = None
    default_timezone: ZoneInfo | None = None
    negative_prices: bool = False
    _by_symbol: dict[str, Market] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def market(self, symbol: str) -> Market:
        """The market of a symbol or alias; with the defaults, and the exchange's own timezone.

        The timezone is the symbol's own, else its exchange's, else the default.
        """
        market = self._by_symbol.get(symbol)
        if market is None:
            if len(self._by_symbol) >= _MAX_SYMBOLS:
                self._by_symbol.clear()
            market = self._by_symbol[symbol] = self._with_defaults(symbol)
        return market

    def _with_defaults(self, symbol: str) -> Market:
        stated = self.markets.get(self.canonical(symbol))
        if stated is None and not self.default_calendar:
            return Market(symbol, timezone=self.default_timezone)
        stated = stated or Market(symbol)
        calendar = stated.calendar or self.default_calendar
        of_exchange = calendar.timezone if calendar and calendar.is_exchange else None
        timezone = stated.timezone or of_exchange or self.default_timezone
        return replace(stated, calendar=calendar, timezone=timezone)

    def canonical(self, symbol: str) -> str:
        """The symbol of an alias; any other name as it is."""
        return self._symbol_of_alias.get(symbol, symbol)

    @cached_property
    def _symbol_of_alias(self) -> dict[str, str]:
        return {
            alias: market.symbol for market in self.markets.values() for alias in market.aliases
        }


NO_MARKETS = MarketDirectory()
