"""The file of symbols: which calendar, timezone and currency each has, and under what names."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from mlengine.core.bars.symbols import SYMBOL_RULE, is_symbol
from mlengine.core.calendars.calendar import Calendar
from mlengine.core.calendars.hours import CALENDAR_NAMES
from mlengine.core.calendars.market import Market
from mlengine.core.calendars.named import calendar
from mlengine.errors import CannotStart

COLUMNS = ("symbol", "calendar", "timezone", "currency", "from", "to", "aliases")
# A table of one's own may be named as ours: one that has none of these says nothing of markets.
_MARKET_COLUMNS = frozenset(("calendar", "timezone", "currency", "aliases"))
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def read_symbols(path: Path) -> dict[str, Market]:
    """Markets by symbol, from a CSV file with a column `symbol` and any of the other COLUMNS.

    An empty cell states nothing; `aliases` are separated by `;` or `|`. Other columns are passed
    over. Raises CannotStart, which names the line, the column and the value.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CannotStart(f"{path.name} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CannotStart(f"{path.name} is no text in UTF-8") from error
    return parse_symbols(text, name=path.name)


def states_markets(path: Path) -> bool:
    """Whether there is such a file, and its header is that of a file of symbols."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = _header(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return "symbol" in header and not _MARKET_COLUMNS.isdisjoint(header)


def parse_symbols(text: str, *, name: str) -> dict[str, Market]:
    """As `read_symbols`, for what was read already; `name` is for the error."""
    lines = csv.reader(io.StringIO(text, newline=""))
    header = _header(lines)
    if "symbol" not in header:
        raise CannotStart(f"{name}, line 1: there is no column 'symbol'")
    markets: dict[str, Market] = {}
    names: dict[str, int] = {}
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(header):
            cell_counts = f"expected {len(header)} cells, there are {len(cells)}"
            raise CannotStart(f"{name}, line {lines.line_num}: {cell_counts}")
        stated = {column: cell.strip() for column, cell in zip(header, cells, strict=False)}
        row = _Row(name, lines.line_num, stated)
        market = row.market()
        row.refuse_names(market, names)
        markets[market.symbol] = market
    return markets


def _header(lines: Iterator[list[str]]) -> list[str]:
    return [column.strip().casefold() for column in next(lines, [])]


@dataclass(frozen=True)
class _Row:
    """A line of the file; each method reads one column, and raises CannotStart."""

    file: str
    line: int
    cells: Mapping[str, str]

    def market(self) -> Market:
        symbol = self.cells["symbol"]
        first, last = self._date("from"), self._date("to")
        if first and last and last < first:
            raise self.refusal("to", self.cells["to"], "a date that is not before 'from'")
        return Market(
            symbol,
            self._calendar(),
            self._timezone(),
            self.cells.get("currency") or None,
            first,
            last,
            tuple(filter(None, map(str.strip, re.split("[;|]", self.cells.get("aliases", ""))))),
        )

    def refuse_names(self, market: Market, lines: dict[str, int]) -> None:
        """Refuse what is no symbol, or a name that stands in `lines`; and add the names there."""
        columns = dict.fromkeys(market.aliases, "aliases") | {market.symbol: "symbol"}
        for each, column in columns.items():
            if not is_symbol(each):
                raise self.refusal(column, each, SYMBOL_RULE)
            if lines.setdefault(each, self.line) != self.line:
                raise self.refusal(column, each, f"another name than that of line {lines[each]}")

    def refusal(self, column: str, value: str, expected: str) -> CannotStart:
        return CannotStart(
            f"{self.file}, line {self.line}, column {column!r}: {value!r}: expected {expected}"
        )

    def _calendar(self) -> Calendar | None:
        value = self.cells.get("calendar")
        try:
            return calendar(value) if value else None
        except ValueError as error:
            raise self.refusal(
                "calendar", value or "", f"one of {', '.join(CALENDAR_NAMES)}"
            ) from error

    def _timezone(self) -> ZoneInfo | None:
        value = self.cells.get("timezone")
        try:
            return ZoneInfo(value) if value else None
        except (ValueError, KeyError, OSError):
            raise self.refusal("timezone", value or "", "a zone such as Asia/Tokyo") from None

    def _date(self, column: str) -> date | None:
        value = self.cells.get(column)
        if not value:
            return None
        try:
            if _DATE.fullmatch(value):
                return date.fromisoformat(value)
        except ValueError:
            pass
        raise self.refusal(column, value, "a date as YYYY-MM-DD")
