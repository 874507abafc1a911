"""How a text file is written: where its header is, what it says, and what parts the cells."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlengine.stores.market_data.tables.columns.names import (
    has_all_prices,
    is_price_header,
    is_symbol_list,
    without_symbol,
)
from mlengine.stores.market_data.tables.settings import TableSettings

_SEPARATORS = (",", ";", "\t", "|")
_HEAD_LINES = 24
_LONGEST_PREFACE = 12
# A date and four prices.
_FEWEST_COLUMNS = 5
# More than those of a header are a sentence.
_MOST_WORDS = 12
# The columns of an exchange's files that have no header: twelve, and the seventh is the close.
_KLINES = ("open_time", "open", "high", "low", "close", "volume", "close_time")
_KLINE_REST = ("quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume", "ignore")
# A line such as `Time zone: America/New_York`, or `All times are in EST`.
_ZONE = re.compile(
    r"(?i)\b(?:time[ _-]?zone|tz|all times (?:are )?in)\b[\" ]*[:=,;\t]*[\" ]*"
    r"(?P<zone>[^\",;\t)]+)"
)
_CURRENCIES = frozenset(
    ("USD", "EUR", "GBP", "GBX", "JPY", "CHF", "CNY", "HKD", "INR", "CAD", "AUD", "NZD", "KRW")
    + ("TWD", "SGD", "BRL", "MXN", "ZAR", "SEK", "NOK", "DKK", "PLN", "TRY", "$", "€", "£", "¥")
)
_VALUE = re.compile(r"[+-]?[$]?[0-9][0-9.,:/ T+Z-]*|", re.ASCII)


@dataclass(frozen=True)
class TextFormat:
    """`first_line` is the line of the first row, from 1.

    `stated_zone` is a line before the header that names a zone of times, and the zone.
    `is_bars` says that the columns are those of bars, `is_list` that they are a list of symbols.
    """

    separator: str
    names: tuple[str, ...]
    first_line: int
    tickers: tuple[str, ...] | None = None
    stated_zone: tuple[int, str] | None = None
    is_bars: bool = True
    is_list: bool = False


class NoHeader(ValueError):
    """The first line holds values, and nobody says of which columns."""


class NoSeparator(NoHeader):
    """The header has nothing but blanks between the names of its columns."""


def text_format(head: bytes, settings: TableSettings, symbol: str = "") -> TextFormat:
    """The format of a text of that symbol by its first lines; raises NoHeader, csv.Error."""
    text = head.decode(errors="replace")
    lines = [line.removesuffix("\r") for line in text.split("\n", _HEAD_LINES)[:_HEAD_LINES]]
    if isinstance(settings.columns, tuple):
        return _stated(lines, settings.columns)
    for number, line in enumerate(lines[:_LONGEST_PREFACE]):
        for separator in _SEPARATORS:
            names = line_cells(line, separator)
            if not is_price_header(names, settings):
                names = without_symbol(names, symbol)
            if is_price_header(names, settings):
                format_ = _with_tickers(lines, number, separator, names)
                return replace(format_, stated_zone=_stated_zone(lines[:number]))
    first = lines[0] if lines else ""
    words = first.split()
    if len(words) <= _MOST_WORDS and has_all_prices(words):
        raise NoSeparator
    separator = max(_SEPARATORS, key=first.count)
    names = line_cells(first, separator)
    if len(names) > 1 and all(map(_VALUE.fullmatch, names)):
        if _are_klines([line_cells(line, separator) for line in lines[:-1] or lines]):
            return TextFormat(separator, (*_KLINES, *_KLINE_REST), 1)
        raise NoHeader
    return TextFormat(separator, names, 2, is_bars=False, is_list=is_symbol_list(names, settings))


def _stated(lines: Sequence[str], names: tuple[str, ...]) -> TextFormat:
    first = lines[0] if lines else ""
    for separator in _SEPARATORS:
        cells = line_cells(first, separator)
        if len(cells) == len(names):
            has_header = not any(re.search("[0-9]", cell) for cell in cells)
            return TextFormat(separator, names, 2 if has_header else 1)
    return TextFormat(max(_SEPARATORS, key=first.count), names, 1)


def _with_tickers(
    lines: Sequence[str], number: int, separator: str, names: tuple[str, ...]
) -> TextFormat:
    """With the lines of a data frame that has tickers above or below its columns."""
    tickers: tuple[str, ...] | None = None
    before = line_cells(lines[number - 1], separator) if number else ()
    if len(before) == len(names) and _is_line_of_tickers(before, names):
        tickers = before
    following = number + 1
    if following < len(lines):
        cells = line_cells(lines[following], separator)
        first = cells[0].casefold() if len(cells) == len(names) else None
        words = first == "" and not any(map(_is_number, cells[1:]))
        if first == "ticker" or (words and _have_all_prices(cells, names)):
            tickers, following = cells, following + 1
    if tickers and following < len(lines):
        cells = line_cells(lines[following], separator)
        if cells and cells[0] and not re.search("[0-9]", cells[0]) and not any(cells[1:]):
            names, following = (cells[0], *names[1:]), following + 1
    return TextFormat(separator, names, following + 1, tickers)


def _stated_zone(preface: Sequence[str]) -> tuple[int, str] | None:
    """The first line that names a zone of times, from 1, and the zone."""
    for number, line in enumerate(preface, 1):
        if match := _ZONE.search(line):
            return number, match["zone"].strip()
    return None


def _have_all_prices(tickers: Sequence[str], names: Sequence[str]) -> bool:
    """Whether each of them has all prices; in a line of units some column may have another."""
    pairs = [*zip(tickers[1:], names[1:], strict=True)]
    return not _CURRENCIES.issuperset(map(str.upper, tickers[1:])) and all(
        ticker and has_all_prices([name for other, name in pairs if other == ticker])
        for ticker in set(tickers[1:])
    )


def _is_line_of_tickers(cells: Sequence[str], names: Sequence[str]) -> bool:
    """Whether the line before the names of columns has a ticker for each of them."""
    both_unnamed = not cells[0] and not names[0]
    return cells[0].casefold() in ("ticker", "symbol") or (both_unnamed and all(cells[1:]))


def _are_klines(rows: Sequence[Sequence[str]]) -> bool:
    """Whether prices stand in the order of klines, which high and low and the close time show."""
    count = len(_KLINES) + len(_KLINE_REST)
    return bool(rows) and all(len(row) == count and _is_kline(row) for row in rows)


def _is_kline(row: Sequence[str]) -> bool:
    try:
        start, open_, high, low, close, volume, end = map(float, row[:7])
    except ValueError:
        return False
    in_order = low <= min(open_, close) <= max(open_, close) <= high
    return in_order and volume >= 0 and 3e11 < start < end < 5e15


def is_tabular(head: bytes, format_: TextFormat) -> bool:
    """Whether the first line names many columns, and the second has as many cells with numbers."""
    lines = head.decode(errors="replace").split("\n", 2)
    cells = line_cells(lines[1], format_.separator) if len(lines) > 1 else ()
    numbers = sum(bool(re.search("[0-9]", cell)) for cell in cells)
    return len(cells) == len(format_.names) and numbers >= _FEWEST_COLUMNS


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def line_cells(line: str, separator: str) -> tuple[str, ...]:
    """The cells of a line alone, without blanks at their ends; raises csv.Error."""
    return tuple(cell.strip() for cell in next(csv.reader([line], delimiter=separator), []))
