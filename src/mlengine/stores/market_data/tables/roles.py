"""What each column of a table is, by the names that the world's exporters give them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import polars as pl

from mlengine.core.bars.bars import PRICES
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.candles import CLOSE_KEYS, START_KEYS, VALUE_KEYS
from mlengine.stores.market_data.tables.settings import SETTINGS_FILE, TableSettings
from mlengine.stores.market_data.tables.table import Table

_STARTS = (
    *(*START_KEYS[:2], "datetime", "date time", "open time", "window start", "unix", "epoch"),
    *("gmt time", "local time", "begins at", "time", "t", "ts", "ts event"),
    *("date", "trade date", "trading date", "dtyyyymmdd"),
)
# The index of a data frame, where no other column is a time.
_INDEXES = ("", "index", "unnamed: 0", "  index level 0  ", "price")
_INDEX_LEVEL = ("  index level 0  ",)
_CLOCKS = ("time",)
_DATES = ("date", "trade date", "trading date", "dtyyyymmdd")
_SYMBOLS = ("symbol", "ticker", "instrument")
_CLOSES = (*CLOSE_KEYS, "close time", "interval end")
_ADJUSTED = ("adj close", "adjclose", "adjusted close", "adj. close")
_FURTHER: Mapping[str, tuple[str, ...]] = {
    "open": ("o", "px open"),
    "high": ("h", "px high"),
    "low": ("l", "px low"),
    "close": ("c", "close/last", "last", "px last", "px close"),
    "volume": ("v", "vol", "vol.", "px volume"),
}
_TICK_VOLUMES = ("tickvol", "tick volume", "tick_volume")
_PRICE_AS_CLOSE = "price"
# A line with one of these words may be any text.
_FEWEST_PRICES = 2


@dataclass(frozen=True)
class Roles:
    """The positions of a table's columns; None is what it does not have.

    `clock` is the time of the day beside `start`, `volume` None says that the market has none.
    `ticker` is set where the columns are those of one symbol among several.
    """

    start: int
    prices: Mapping[str, int]
    volume: int | None
    clock: int | None = None
    symbol: int | None = None
    closes: int | None = None
    final: int | None = None
    adjusted: int | None = None
    ticker: str | None = None

    def position(self, column: str) -> int | None:
        """Of a column of RAW_SCHEMA, before prices are adjusted."""
        others = {"timestamp": self.start, "closes_at": self.closes, "volume": self.volume}
        return {**self.prices, **others}.get(column)


def is_price_header(names: Sequence[str], settings: TableSettings) -> bool:
    """Whether this line names columns of prices."""
    plain_names = {_plain(name) for name in names}
    stated = settings.columns if isinstance(settings.columns, Mapping) else {}
    prices = [
        not plain_names.isdisjoint(_names(name)) or stated.get(name) in names for name in PRICES
    ]
    return sum(prices) >= _FEWEST_PRICES


def has_all_prices(names: Sequence[str]) -> bool:
    """Whether there is a name for each of the prices."""
    plain_names = {_plain(name) for name in names}
    return all(not plain_names.isdisjoint(_names(name)) for name in PRICES)


def is_symbol_list(names: Sequence[str], settings: TableSettings) -> bool:
    """Whether a header is that of a list of symbols: it has them, and not one price."""
    plain_names = {_plain(name) for name in names}
    has_price = any(not plain_names.isdisjoint(_names(name)) for name in PRICES)
    return not plain_names.isdisjoint(_SYMBOLS) and not has_price and not settings.columns


def has_symbols(names: Sequence[str], settings: TableSettings) -> bool:
    """Whether a column says which symbol each row is of."""
    stated = settings.columns.get("symbol") if isinstance(settings.columns, Mapping) else None
    return stated in names if stated else any(_plain(name) in _SYMBOLS for name in names)


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
        start, clock = self._start()
        symbol = self._stated("symbol", _SYMBOLS) if self.table.tickers is None else None
        return Roles(
            start=start,
            prices={name: self._price(name) for name in PRICES},
            volume=self._volume(symbol),
            clock=clock,
            symbol=symbol,
            closes=self._stated("close_time", _CLOSES),
            final=self._stated("final", ("final",)),
            adjusted=self._stated("adjusted_close", _ADJUSTED),
        )

    def _start(self) -> tuple[int, int | None]:
        stated = self._stated("timestamp", ())
        if stated is not None:
            return stated, None
        date, clock = self._stated("date", _DATES), self._stated("time", _CLOCKS)
        named = self._first(_STARTS)
        pair = date is not None and clock is not None
        if pair and named in (date, clock) and _is_clock(self.table.columns[cast("int", clock)]):
            return cast("int", date), clock
        first = self.columns[0]
        index = first if _plain(self.table.names[first]) in _INDEXES else self._first(_INDEX_LEVEL)
        for start in (named, date, index):
            if start is not None:
                return start, None
        raise self._missing("timestamp", (*START_KEYS, "date"))

    def _price(self, name: str) -> int:
        column = self._stated(name, _names(name))
        if column is None and name == "close":
            column = self._first((_PRICE_AS_CLOSE,))
        if column is None:
            raise self._missing(name, VALUE_KEYS[name])
        return column

    def _volume(self, symbol: int | None) -> int | None:
        named = self._stated("volume", _names("volume"))
        if named is None:
            named = self._volume_of_base(symbol)
        ticks = self._first(_TICK_VOLUMES)
        if ticks is not None and (named is None or _is_zero(self.table.columns[named])):
            return ticks
        return named

    def _volume_of_base(self, symbol: int | None) -> int | None:
        """Of `Volume BTC` and `Volume USDT` that of the symbol's base, which it begins with."""
        names = {i: _plain(self.table.names[i]) for i in self.columns}
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
            next((i for i, unit in volumes.items() if _plain(each).startswith(unit)), None)
            for each in symbols
        }
        if len(bases) == 1 and (base := bases.pop()) is not None:
            return base
        columns = " or ".join(repr(self.table.names[i]) for i in volumes)
        raise UpstreamInvalid(
            f"the file {self.table.file!r}: is its volume {columns}? "
            f"Set columns.volume in {SETTINGS_FILE}"
        )

    def _stated(self, role: str, names: Sequence[str]) -> int | None:
        stated = (
            self.settings.columns.get(role) if isinstance(self.settings.columns, Mapping) else None
        )
        if stated is None:
            return self._first(names)
        for i in self.columns:
            if self.table.names[i].strip() == stated:
                return i
        raise UpstreamInvalid(
            f"the file {self.table.file!r} has no column {stated!r}, which {SETTINGS_FILE} names"
        )

    def _first(self, names: Sequence[str]) -> int | None:
        positions: dict[str, list[int]] = {}
        for i in self.columns:
            positions.setdefault(_plain(self.table.names[i]), []).append(i)
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


def _names(role: str) -> tuple[str, ...]:
    return (*map(_plain, VALUE_KEYS[role]), *_FURTHER[role])


def _plain(name: str) -> str:
    """As names are compared: `<CLOSE>`, `4. close` and `CLOSE` are `close`."""
    bare = name.strip().strip("<>*").casefold().replace("_", " ")
    return re.sub(r"^[0-9]+[a-z]?\. ", "", bare) if bare.strip() else bare


def _is_clock(column: pl.Series) -> bool:
    """Whether these are times of a day, by the first of them."""
    first = column.drop_nulls().head(1).cast(pl.String, strict=False).to_list()
    text = first[0].strip() if first and first[0] else ""
    colons = re.fullmatch(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?( ?[AaPp][Mm])?", text)
    if colons or not re.fullmatch("[0-9]{1,9}", text):
        return bool(colons)
    digits = text.zfill(4 if len(text) <= 4 else 6 if len(text) <= 6 else 9)
    return digits[:2] < "24" and digits[2:4] < "60" and digits[4:6] < "60"


def _is_zero(column: pl.Series) -> bool:
    numbers = column.cast(pl.Float64, strict=False)
    return bool((numbers == 0).all())
