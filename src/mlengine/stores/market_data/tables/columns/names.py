"""The names that the world's exporters give to the columns of a table."""

import re
from collections.abc import Mapping, Sequence

from mlengine.core.bars.bars import PRICES
from mlengine.stores.market_data.candles import CLOSE_KEYS, START_KEYS, VALUE_KEYS
from mlengine.stores.market_data.tables.settings import TableSettings

STARTS = (
    *(*START_KEYS[:2], "datetime", "date time", "open time", "window start", "unix", "epoch"),
    *("gmt time", "local time", "begins at", "time", " time", "t", "ts", "ts event"),
    *("date", "trade date", "trading date", "dtyyyymmdd"),
)
# The index of a data frame, where no other column is a time.
INDEXES = ("", "index", "unnamed: 0", "  index level 0  ", "price")
INDEX_LEVEL = ("  index level 0  ",)
CLOCKS = ("time", "timestamp")
DATES = ("date", "trade date", "trading date", "dtyyyymmdd")
SYMBOLS = ("symbol", "ticker", "instrument", "ts code", "ric", "#ric", "tic")
CLOSES = (*CLOSE_KEYS, "close time", "interval end")
FINALS = (
    *("final", "is final", "isfinal", "closed", "is closed", "isclosed"),
    *("complete", "is complete", "completed", "confirm", "finished"),
)
ADJUSTED = (
    *("adj close", "adjclose", "adjusted close", "adj. close", "close adj", "close adjusted"),
    *("adj close price", "adjcloseprice", "adjusted close price"),
)
_FURTHER: Mapping[str, tuple[str, ...]] = {
    "open": ("o", "px open"),
    "high": ("h", "px high"),
    "low": ("l", "px low"),
    "close": ("c", "close/last", "last", "px last", "px close"),
    "volume": ("v", "vol", "vol.", "px volume"),
}
TICK_VOLUMES = ("tickvol", "tick volume", "tick_volume")
# Columns with the symbol in their names, as packages write the frames of one symbol.
_COLUMN = "(?P<column>open|high|low|close|volume|adjusted|adj[ ._]?close)"
_BEHIND = re.compile(f"(?P<symbol>.+)[ ._]{_COLUMN}", re.IGNORECASE)
_BEFORE = re.compile(f"{_COLUMN}[ ._](?P<symbol>.+)", re.IGNORECASE)
_ADJUSTED_CLOSE = "Adj Close"
# A line with one of these words may be any text.
_FEWEST_PRICES = 2


def is_price_header(names: Sequence[str], settings: TableSettings) -> bool:
    """Whether this line names columns of prices."""
    plain_names = {plain_name(name) for name in names}
    stated = settings.columns if isinstance(settings.columns, Mapping) else {}
    prices = [
        not plain_names.isdisjoint(role_names(name)) or stated.get(name) in names for name in PRICES
    ]
    return sum(prices) >= _FEWEST_PRICES


def without_symbol(names: Sequence[str], symbol: str) -> tuple[str, ...]:
    """Names such as `AAPL.Open` and `Open_AAPL` as `Open`, where all prices have the symbol so."""
    own = _letters(symbol)
    bare = []
    for name in names:
        match = _BEHIND.fullmatch(name) or _BEFORE.fullmatch(name)
        is_own = match is not None and _letters(match["symbol"]) == own
        bare.append(match["column"] if match and is_own else name)
    if has_all_prices(names) or not has_all_prices(bare):
        return tuple(names)
    return tuple(_ADJUSTED_CLOSE if name.casefold() == "adjusted" else name for name in bare)


def _letters(symbol: str) -> str:
    """What is left of a symbol where names may have no signs: `BRK.B` of `BRK-B`."""
    return re.sub(r"[\W_]", "", symbol).casefold()


def has_all_prices(names: Sequence[str]) -> bool:
    """Whether there is a name for each of the prices."""
    plain_names = {plain_name(name) for name in names}
    return all(not plain_names.isdisjoint(role_names(name)) for name in PRICES)


def value_order(names: Sequence[str]) -> list[str]:
    """Of names of columns those of prices and volumes, in their order."""
    known = {name for role in VALUE_KEYS for name in role_names(role)}.union(ADJUSTED)
    return [name for name in map(plain_name, names) if name in known]


def is_symbol_list(names: Sequence[str], settings: TableSettings) -> bool:
    """Whether a header is that of a list of symbols: it has them, and not one price."""
    plain_names = {plain_name(name) for name in names}
    has_price = any(not plain_names.isdisjoint(role_names(name)) for name in PRICES)
    return not plain_names.isdisjoint(SYMBOLS) and not has_price and not settings.columns


def has_symbols(names: Sequence[str], settings: TableSettings) -> bool:
    """Whether a column says which symbol each row is of."""
    stated = settings.columns.get("symbol") if isinstance(settings.columns, Mapping) else None
    if stated is not None:
        return stated != "" and stated in names
    return any(plain_name(name) in SYMBOLS for name in names)


def role_names(role: str) -> tuple[str, ...]:
    return (*map(plain_name, VALUE_KEYS[role]), *_FURTHER[role])


def plain_name(name: str) -> str:
    """As names are compared: `<CLOSE>`, `4. close` and `CLOSE` are `close`."""
    bare = name.strip().strip("<>*").casefold().replace("_", " ")
    return re.sub(r"^[0-9]+[a-z]?\. ", "", bare) if bare.strip() else bare
