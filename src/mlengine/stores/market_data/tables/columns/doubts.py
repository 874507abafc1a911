"""What a column may be that nothing says it is: refused, with the setting that decides it."""

import re
from collections.abc import Iterable, Mapping

import polars as pl

from mlengine.core.bars.bars import PRICES, VALUES
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.candles import LIKE_VOLUME
from mlengine.stores.market_data.tables.cells.numbers import first_doubtful_dot, plain_numbers
from mlengine.stores.market_data.tables.columns.names import ADJUSTED, plain_name, role_names
from mlengine.stores.market_data.tables.settings import SETTINGS_FILE
from mlengine.stores.market_data.tables.table import CellRefused, Table

# Where it has several values, the rows may be of several symbols.
_LIKE_SYMBOL = re.compile(
    "symbol|ticker|(^|[ _])(name|code|isin|cusip|sedol|figi|wkn|permno|gvkey|conid|secid|underlying"
    "|contract|security|stock|asset|pair|coin|company|scrip|epic|expiry|expiration|maturity)$"
    "|(instrument|contract|security|stock|asset|pair|coin|company|scrip|product)[ _]?(id|token)$"
    "|(expir[ya]|maturity|contract|delivery)[a-z]*[ _](date|month|day|year)$"
    "|代码|銘柄|コード|종목",
    re.IGNORECASE,
)
_LIKE_ADJUSTED = re.compile("(?<!un)adj.*(clos|price|last)|(clos|price|last).*(?<!un)adj", re.I)
# The columns beside which one vendor writes prices as billionths, in whole numbers.
_BILLIONTHS_BESIDE = frozenset(("rtype", "publisher id"))
_FEWEST_BILLIONTHS = 10**6
# The columns that say how long the bar of each row is.
_LIKE_INTERVAL = frozenset(
    ("interval", "timeframe", "time frame", "tf", "bar size", "barsize", "bar interval", "per")
    + ("granularity", "resolution", "freq", "frequency", "bar type")
)
# What is left of a number after its first sign of thousands.
_THOUSANDS = "^[0-9]{3}$"
_THOUSANDS_DIGITS = 3
_CUT_SHARE = 0.9
# Of a table of many symbols a few rows may name none, such as its totals.
_MOST_UNNAMED_SHARE = 0.05


def refuse_other_volume(table: Table, columns: Iterable[int], stated: Iterable[str]) -> None:
    """That no column may be the volume, where none is known to be: that is no market without it.

    Where the columns of prices are `stated`, in whatever language, any other may be.
    """
    names = [table.names[i] for i in columns]
    perhaps = [name for name in names if LIKE_VOLUME.search(name)]
    if len(known := set(stated)) > len(PRICES):
        perhaps += [name for name in names if name.strip() not in known]
    if perhaps:
        raise UpstreamInvalid(
            f"the file {table.file!r}: is its volume {perhaps[0].strip()!r}? "
            f"{SETTINGS_FILE} can name it: columns.volume, or '' where it has none"
        )


def states_volume(table: Table, position: int) -> bool:
    """Whether a column is no volume of -1 throughout, which brokers write where there is none.

    Raises UpstreamInvalid for one that can't hold numbers.
    """
    volumes = table.columns[position]
    if volumes.dtype.is_nested() or volumes.dtype.is_temporal():
        value = volumes[0] if len(volumes) else None
        no_numbers = CellRefused(f"a column of type {volumes.dtype} has no numbers", 0, value)
        raise table.refusal(position, no_numbers)
    first = plain_numbers(volumes.head(1))
    return not ((first == -1).any() and (plain_numbers(volumes) == -1).all())


def refuse_other_symbol(table: Table, columns: Iterable[int]) -> tuple[str, ...]:
    """That no column may name the symbols, where none is known to and its cells differ.

    Returns what those say that may.
    """
    names: list[str] = []
    for i in columns:
        name = table.names[i].strip()
        if not _LIKE_SYMBOL.search(name):
            continue
        said = table.columns[i].drop_nulls().unique()
        names += map(str, said.head(1).to_list())
        if len(said) > 1:
            raise UpstreamInvalid(
                f"the file {table.file!r}: are its symbols in the column {name!r}? "
                f"{SETTINGS_FILE} can name it: columns.symbol, or '' where all rows are of one"
            )
    return tuple(names)


def refuse_other_interval(
    table: Table, columns: Iterable[int], named: int | None
) -> tuple[str, ...]:
    """That the one that is `named`, or none by its name, says that bars are of several intervals.

    Returns what it says.
    """
    said: list[str] = []
    like = (i for i in columns if plain_name(table.names[i]) in _LIKE_INTERVAL)
    for i in like if named is None else [named]:
        texts = table.columns[i].cast(pl.String, strict=False).str.strip_chars()
        others = texts.filter(texts.is_not_null() & (texts != "") & (texts != table.names[i]))
        intervals = others.unique(maintain_order=True)
        said += intervals.head(1).to_list()
        if len(intervals) > 1:
            words = (
                f"another interval than {intervals[0]!r} of a row before; write a file for each "
                f"({SETTINGS_FILE}: columns.interval = '' denies it)"
            )
            raise table.refusal(i, CellRefused(words, _first(texts, intervals[1]), intervals[1]))
    return tuple(said)


def refuse_cut_thousands(table: Table, volume: int) -> None:
    """That no volume ends at a sign of thousands, which has made two columns of it.

    Then it has three digits at most, and what follows has three, of which the first may be zero.
    """
    if volume + 1 >= len(table.columns):
        return
    column, following = table.columns[volume], table.columns[volume + 1]
    if column.dtype != pl.String or following.dtype != pl.String:
        return
    begins = following.str.starts_with("0") & (following.str.len_bytes() == _THOUSANDS_DIGITS)
    if not begins.any() or _has_long_numbers(column):
        return
    rests = following.filter(following != "")
    cut = rests.str.contains(_THOUSANDS)
    if int(cut.sum()) >= _CUT_SHARE * len(rests):
        row = begins.arg_max() or 0
        value = f"{column[row]},{following[row]}"
        words = (
            "is this one number, with a sign of thousands between? Write it in quotes "
            f"({SETTINGS_FILE}: columns.volume can name it as it stands)"
        )
        raise table.refusal(volume, CellRefused(words, row, value))


def _has_long_numbers(column: pl.Series) -> bool:
    numbers = column.filter(column.str.contains("^[0-9]+$"))
    return not len(numbers) or bool((numbers.str.len_bytes() > _THOUSANDS_DIGITS).any())


def refuse_other_adjusted(table: Table, columns: Iterable[int]) -> None:
    """That no column may be the adjusted close, where none is known to be and it is asked for."""
    perhaps = [name for i in columns if _LIKE_ADJUSTED.search(name := table.names[i])]
    if perhaps:
        raise UpstreamInvalid(
            f"the file {table.file!r}: is its adjusted close {perhaps[0].strip()!r}? "
            f"{SETTINGS_FILE} can name it: columns.adjusted_close, or '' where it has none"
        )


def refuse_billionths(table: Table, price: int) -> None:
    """That prices are not written in billionths."""
    if not _BILLIONTHS_BESIDE.issubset(map(plain_name, table.names)):
        return
    first = plain_numbers(table.columns[price].head(1)).drop_nulls()
    if (first >= _FEWEST_BILLIONTHS).any():
        whole = CellRefused("prices in billionths; write them as decimals", 0, first[0])
        raise table.refusal(price, whole)


def refuse_doubtful_dots(table: Table, texts: Mapping[str, pl.Series], volume: int) -> None:
    """That the dots of a table are decimal signs, where a volume has some."""
    volumes = texts["volume"]
    row = first_doubtful_dot(volumes, [texts[name] for name in PRICES])
    if row is not None:
        words = "is its dot a decimal sign or one of thousands? Set decimal in bars.toml"
        raise table.refusal(volume, CellRefused(words, row, volumes[row]))


def refuse_other_header(
    table: Table, positions: Mapping[str, int], numbers: Mapping[str, pl.Series]
) -> None:
    """That no line within a file is a header that names its columns in another order."""
    for role, position in positions.items():
        column = table.columns[position]
        if column.dtype != pl.String or role not in VALUES:
            continue
        others = {name for other in VALUES if other != role for name in role_names(other)}
        own = plain_name(table.names[position])
        unread = column.is_not_null() & numbers[role].is_null()
        for text in column.filter(unread).unique(maintain_order=True):
            name = plain_name(text)
            if name != own and name in others.union(ADJUSTED):
                words = "a header in another order than the first; split the file there"
                raise table.refusal(position, CellRefused(words, _first(column, text), text))


def refuse_unnamed(table: Table, symbol: int, unnamed: pl.DataFrame) -> None:
    """That of the rows that name no symbol few are bars; `unnamed` are their candles."""
    bars = unnamed.drop_nulls(["timestamp", "close"])
    if bars.height > _MOST_UNNAMED_SHARE * table.rows:
        row = bars["line"][0] - table.first_line
        words = "names no symbol"
        if bars.height == table.rows:
            words += f", nor does any other ({SETTINGS_FILE}: columns.symbol = '')"
        raise table.refusal(symbol, CellRefused(words, row, table.columns[symbol][row]))


def _first(column: pl.Series, text: str) -> int:
    return (column == text).arg_max() or 0
