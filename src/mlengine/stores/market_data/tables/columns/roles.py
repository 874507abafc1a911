"""What each column of a table is, by its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import polars as pl

from mlengine.core.bars.bars import PRICES
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.candles import START_KEYS, VALUE_KEYS
from mlengine.stores.market_data.tables.cells.clocks import are_clocks
from mlengine.stores.market_data.tables.cells.numbers import plain_numbers
from mlengine.stores.market_data.tables.columns.doubts import (
    refuse_billionths,
    refuse_cut_thousands,
    refuse_other_adjusted,
    refuse_other_interval,
    refuse_other_symbol,
    refuse_other_volume,
    states_volume,
)
from mlengine.stores.market_data.tables.columns.names import (
    ADJUSTED,
    CLOCKS,
    CLOSES,
    DATES,
    FINALS,
    INDEX_LEVEL,
    INDEXES,
    STARTS,
    SYMBOLS,
    TICK_VOLUMES,
    plain_name,
    role_names,
)
from mlengine.stores.market_data.tables.settings import SETTINGS_FILE, TableSettings
from mlengine.stores.market_data.tables.table import Table

_PRICE_AS_CLOSE = "price"


@dataclass(frozen=True)
class Roles:
    """The positions of a table's columns; None is what it does not have.

    `clock` is the time of the day beside `start`, `date` a date beside a whole time. `volume` None
    says that the market has none. `ticker` is set where the columns are those of one symbol among
    several. `sole_names` is what all rows say in columns that may name their symbol, or interval.
    """

    start: int
    prices: Mapping[str, int]
    volume: int | None
    clock: int | None = None
    date: int | None = None
    symbol: int | None = None
    closes: int | None = None
    final: int | None = None
    adjusted: int | None = None
    ticker: str | None = None
    sole_names: tuple[str, ...] = ()

    @property
    def depend_on_rows(self) -> bool:
        """Whether further rows of the file may show other roles."""
        return self.volume is None or bool(self.sole_names)

    def position(self, column: str) -> int | None:
        """Of a column of RAW_SCHEMA, before prices are adjusted."""
        others = {"timestamp": self.start, "closes_at": self.closes, "volume": self.volume}
        return {**self.prices, **others}.get(column)


def table_roles(table: Table, settings: TableSettings, symbol: str) -> list[Roles]:
    """The roles of a table's columns, one for each ticker where these stand beside each other.

    Raises UpstreamInvalid for a column that is missing, or that several could be.
    """
    if table.tickers is None:
        return [_RoleFinder(table, settings, symbol, range(len(table.names))).roles()]
    roles = []
    for ticker in dict.fromkeys(filter(None, table.tickers[1:])):
        mine = [0, *(i for i, name in enumerate(table.tickers) if i and name == ticker)]
        roles.append(replace(_RoleFinder(table, settings, ticker, mine).roles(), ticker=ticker))
    return roles


@dataclass(frozen=True)
class _RoleFinder:
    table: Table
    settings: TableSettings
    symbol: str
    columns: Sequence[int]

    def roles(self) -> Roles:
        start, clock, date = self._start()
        symbol = self._stated("symbol", SYMBOLS) if self.table.tickers is None else None
        return Roles(
            start=start,
            prices={name: self._price(name) for name in PRICES},
            volume=self._volume(symbol),
            clock=clock,
            date=date if date != start else None,
            symbol=symbol,
            closes=self._stated("close_time", CLOSES),
            final=self._stated("final", FINALS),
            adjusted=self._adjusted(),
            sole_names=self._sole_names(symbol),
        )

    def _start(self) -> tuple[int, int | None, int | None]:
        stated = self._stated("timestamp", ())
        if stated is not None:
            return stated, None, None
        date, clock = self._stated("date", DATES), self._stated("time", CLOCKS)
        named = self._first(STARTS)
        pair = date is not None and clock is not None
        if pair and named in (date, clock) and are_clocks(self.table.columns[cast("int", clock)]):
            return cast("int", date), clock, None
        first = self.columns[0]
        index = (
            first if plain_name(self.table.names[first]) in INDEXES else self._first(INDEX_LEVEL)
        )
        for start in (named, date, index):
            if start is not None and (start != index or _says_something(self.table, start)):
                return start, None, date
        raise self._missing("timestamp", (*START_KEYS, "date"))

    def _price(self, name: str) -> int:
        column = self._stated(name, role_names(name))
        if column is None and name == "close":
            column = self._first((_PRICE_AS_CLOSE,))
        if column is None:
            raise self._missing(name, VALUE_KEYS[name])
        refuse_billionths(self.table, column)
        return column

    def _sole_names(self, symbol: int | None) -> tuple[str, ...]:
        named = self._stated("interval", ())
        denied = self._is_stated_as_none("interval")
        intervals = () if denied else refuse_other_interval(self.table, self.columns, named)
        return (*intervals, *self._sole_symbols(symbol))

    def _sole_symbols(self, symbol: int | None) -> tuple[str, ...]:
        is_known = symbol is not None or self.table.tickers is not None
        if is_known or self._is_stated_as_none("symbol"):
            return ()
        stated = set(self._columns_by_role.values())
        unstated = (i for i in self.columns if self.table.names[i].strip() not in stated)
        return refuse_other_symbol(self.table, unstated)

    def _adjusted(self) -> int | None:
        adjusted = self._stated("adjusted_close", ADJUSTED)
        is_open = adjusted is None and not self._is_stated_as_none("adjusted_close")
        if is_open and self.settings.adjusted:
            refuse_other_adjusted(self.table, self.columns)
        return adjusted

    def _volume(self, symbol: int | None) -> int | None:
        if self._is_stated_as_none("volume"):
            return None
        named = self._stated("volume", role_names("volume"))
        if named is None:
            named = self._volume_of_base(symbol)
        elif "volume" not in self._columns_by_role:
            refuse_cut_thousands(self.table, named)
        ticks = self._first(TICK_VOLUMES)
        if ticks is not None and (named is None or _is_zero(self.table.columns[named])):
            return ticks
        if named is None:
            refuse_other_volume(self.table, self.columns, self._columns_by_role.values())
        return named if named is not None and states_volume(self.table, named) else None

    def _volume_of_base(self, symbol: int | None) -> int | None:
        """Of `Volume BTC` and `Volume USDT` that of the symbol's base, which it begins with."""
        names = {i: plain_name(self.table.names[i]) for i in self.columns}
        volumes = {
            i: name.split(" ")[-1].strip("()")
            for i, name in names.items()
            if name.startswith("volume ")
        }
        if not volumes:
            return None
        symbols = [self.symbol]
        if symbol is not None:
            symbols = [str(each) for each in self.table.columns[symbol].drop_nulls().unique()]
        bases = {
            next((i for i, unit in volumes.items() if plain_name(each).startswith(unit)), None)
            for each in symbols
        }
        if len(bases) == 1 and (base := bases.pop()) is not None:
            return base
        columns = " or ".join(repr(self.table.names[i]) for i in volumes)
        raise UpstreamInvalid(
            f"the file {self.table.file!r}: is its volume {columns}? "
            f"Set columns.volume in {SETTINGS_FILE}"
        )

    @property
    def _columns_by_role(self) -> Mapping[str, str]:
        """Those that the settings name, or deny."""
        return self.settings.columns if isinstance(self.settings.columns, Mapping) else {}

    def _is_stated_as_none(self, role: str) -> bool:
        return self._columns_by_role.get(role) == ""

    def _stated(self, role: str, names: Sequence[str]) -> int | None:
        stated = self._columns_by_role.get(role)
        if not stated:
            return self._first(names) if stated is None else None
        for i in self.columns:
            if self.table.names[i].strip() == stated:
                return i
        raise UpstreamInvalid(
            f"the file {self.table.file!r} has no column {stated!r}, which {SETTINGS_FILE} names"
        )

    def _first(self, names: Sequence[str]) -> int | None:
        positions: dict[str, list[int]] = {}
        for i in self.columns:
            positions.setdefault(plain_name(self.table.names[i]), []).append(i)
        same = next((positions[name] for name in names if name in positions), [])
        for other in same[1:]:
            if not self.table.columns[same[0]].equals(self.table.columns[other]):
                raise self._twice(same[0], other)
        return same[0] if same else None

    def _twice(self, first: int, other: int) -> UpstreamInvalid:
        """Columns of one name that differ."""
        return UpstreamInvalid(
            f"the file {self.table.file!r} has two columns {self.table.names[other].strip()!r}, "
            f"the columns {first + 1} and {other + 1}, which differ "
            f"({SETTINGS_FILE} can name all: columns = [...])"
        )

    def _missing(self, role: str, names: Sequence[str]) -> UpstreamInvalid:
        return UpstreamInvalid(
            f"the file {self.table.file!r} has no column {' or '.join(names)}"
            f" ({SETTINGS_FILE} can name it: columns.{role})"
        )


def _is_zero(column: pl.Series) -> bool:
    return bool((plain_numbers(column) == 0).all())


def _says_something(table: Table, position: int) -> bool:
    column = table.columns[position]
    return not len(column) or column.null_count() < len(column)
