"""A source of market data that has some symbols under other names, those of the file of symbols."""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime

import polars as pl

from mlengine.core.actions.actions import StatedAction
from mlengine.core.calendars.market import MarketDirectory
from mlengine.errors import MlengineError, UnknownSymbol
from mlengine.stores.market_data import CandlePanel, MarketData
from mlengine.stores.market_data.deadline import NEVER, Deadline


class AliasedMarketData(MarketData):
    """Asks a source for a symbol, and where it knows none of that name for its aliases in turn.

    All that it answers is of the symbol. What a source calls a symbol is asked first from then on.
    """

    def __init__(self, source: MarketData, markets: MarketDirectory) -> None:
        self.source = source
        self._markets = markets
        self._name_of: dict[str, str] = {}

    @property
    def kind(self) -> str:
        """That of the source."""
        return self.source.kind

    def deadline(self) -> Deadline:
        """That of the source."""
        return self.source.deadline()

    def offered_intervals(self) -> Collection[str]:
        """Those of the source."""
        return self.source.offered_intervals()

    def symbols(self) -> Sequence[str]:
        """All that the source lists, by symbol; raises as the source."""
        return sorted(set(map(self._markets.canonical, self.source.symbols())))

    def read_ahead(self, symbols: Set[str]) -> None:
        """That of the source, of all their names."""
        self.source.read_ahead({name for each in symbols for name in self._names(each)})

    def refused_files(self) -> Sequence[tuple[str, str]]:
        """Those of the source."""
        return self.source.refused_files()

    def log_refusal(self, symbol: str, interval: str, reason: str) -> None:
        """That of the source."""
        self.source.log_refusal(symbol, interval, reason)

    def raw_row(self, file: str, line: int) -> str | None:
        """That of the source."""
        return self.source.raw_row(file, line)

    def raw_cell(self, file: str, line: int, column: str, symbol: str) -> str | None:
        """That of the source."""
        return self.source.raw_cell(file, line, column, self._names(symbol)[0])

    def price_choices(self, symbols: Set[str] | None = None) -> Mapping[str, str]:
        """Those of the source; of some symbols by any of their names."""
        if symbols is None:
            return self.source.price_choices()
        return self.source.price_choices({name for each in symbols for name in self._names(each)})

    def candles(
        self,
        symbol: str,
        interval: str,
        *,
        start: datetime,
        end: datetime,
        deadline: Deadline | None = None,
    ) -> pl.DataFrame:
        """The candles of the first name that the source knows; see MarketData."""
        for name in self._names(symbol):
            try:
                candles = self.source.candles(
                    name, interval, start=start, end=end, deadline=deadline
                )
            except UnknownSymbol:
                continue
            return _renamed(candles, self._found({symbol: name}))
        raise UnknownSymbol(symbol)

    def panel(
        self, symbols: Sequence[str], interval: str, *, start: datetime, end: datetime
    ) -> CandlePanel | None:
        """The candles of each symbol by the first name that the source knows; see MarketData."""
        refused: dict[str, MlengineError] = {}
        parts: list[pl.DataFrame] = []
        names = {symbol: list(self._names(symbol)) for symbol in symbols}
        while names or not parts:
            asked = {symbol: each.pop(0) for symbol, each in names.items()}
            panel = self.source.panel(list(asked.values()), interval, start=start, end=end)
            if panel is None:
                return None
            errors = {s: panel.refused[name] for s, name in asked.items() if name in panel.refused}
            unknown = {s for s, error in errors.items() if isinstance(error, UnknownSymbol)}
            found = self._found({s: name for s, name in asked.items() if s not in unknown})
            parts.append(_renamed(panel.candles, found))
            names = {symbol: names[symbol] for symbol in unknown if names[symbol]}
            refused |= {
                symbol: UnknownSymbol(symbol) if symbol in unknown else error
                for symbol, error in errors.items()
                if symbol not in names
            }
        return CandlePanel(pl.concat(parts), refused)

    def actions(
        self, symbols: Sequence[str], *, now: datetime, deadline: Deadline | None = None
    ) -> dict[str, Sequence[StatedAction] | MlengineError]:
        """Those of all names of a symbol, of a service those of the name that it knows."""
        is_local = self.source.deadline() == NEVER
        names = {s: self._names(s) if is_local else self._names(s)[:1] for s in symbols}
        every_name = [name for each in names.values() for name in each]
        stated = self.source.actions(every_name, now=now, deadline=deadline)
        return {s: _joined(s, [stated[name] for name in each]) for s, each in names.items()}

    def actions_version(self) -> Hashable:
        """That of the source."""
        return self.source.actions_version()

    def _names(self, symbol: str) -> Sequence[str]:
        """Under which a source may have a symbol; an alias has none but itself."""
        market = self._markets.markets.get(symbol)
        if market is None or not market.aliases:
            return (symbol,)
        first = self._name_of.get(symbol, symbol)
        return tuple(dict.fromkeys((first, symbol, *market.aliases)))

    def _found(self, names: Mapping[str, str]) -> dict[str, str]:
        """By name, the symbols whose names are other ones; and remember these."""
        self._name_of |= {s: name for s, name in names.items() if name != self._name_of.get(s, s)}
        return {name: symbol for symbol, name in names.items() if name != symbol}


def with_aliases(source: MarketData, markets: MarketDirectory) -> MarketData:
    """The source, by the symbols of `markets` where these have aliases."""
    has_aliases = any(market.aliases for market in markets.markets.values())
    return AliasedMarketData(source, markets) if has_aliases else source


def _renamed(candles: pl.DataFrame, symbols: Mapping[str, str]) -> pl.DataFrame:
    return candles.with_columns(pl.col("symbol").replace(symbols)) if symbols else candles


def _joined(
    symbol: str, stated: Iterable[Sequence[StatedAction] | MlengineError]
) -> Sequence[StatedAction] | MlengineError:
    actions: dict[tuple[object, str], StatedAction] = {}
    for each in stated:
        if isinstance(each, MlengineError):
            return each
        for action in each:
            actions.setdefault((action.ex_date, action.kind), replace(action, symbol=symbol))
    return list(actions.values())
