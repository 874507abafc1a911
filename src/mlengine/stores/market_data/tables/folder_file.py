"""A file of a folder of bars: what it may hold, what it holds, or why it can't be used."""

import csv
from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote

import polars as pl

from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.tables.binary import is_binary, read_binary
from mlengine.stores.market_data.tables.blocks import Block, with_starts
from mlengine.stores.market_data.tables.candles import ZoneOf, read_candles
from mlengine.stores.market_data.tables.columns.names import (
    has_symbols,
    is_price_header,
    without_symbol,
)
from mlengine.stores.market_data.tables.columns.roles import table_roles
from mlengine.stores.market_data.tables.folder import (
    FileStamp,
    is_shorter,
    is_unsettled,
    table_suffix,
)
from mlengine.stores.market_data.tables.header import file_format, refusal, unreadable
from mlengine.stores.market_data.tables.settings import TableSettings
from mlengine.stores.market_data.tables.table import Table
from mlengine.stores.market_data.tables.text import (
    RaggedRows,
    UnusableText,
    plain_text,
    read_text,
    text_head,
)
from mlengine.stores.market_data.tables.text_file import FileContent, TextReader, raw_tickers
from mlengine.stores.market_data.tables.text_format import NoHeader, text_format
from mlengine.stores.system.table_files import UnreadableFile

_MOST_CHARACTERS = 100


@dataclass(frozen=True, eq=False)
class FolderFile:
    """A file as it was when it was looked at; `content` is None while only its header was.

    `symbol` is what it is named for, `is_passed_over` marks what is no table of bars and needs no
    word, `refusal` says why another can't be used. `before` is the file with what it held before
    it changed.
    """

    path: Path
    stamp: FileStamp
    settings: TableSettings
    symbol: str
    has_symbols: bool = False
    is_passed_over: bool = False
    content: FileContent | None = None
    refusal: UpstreamInvalid | None = None
    before: "FolderFile | None" = None

    def concerns(self, symbols: Set[str]) -> bool:
        """Whether it may hold one of them."""
        if self.refusal:
            return not symbols.isdisjoint(self.mentioned_symbols())
        return not self.is_passed_over and (self.has_symbols or self.symbol in symbols)

    def mentioned_symbols(self) -> Set[str]:
        """The symbols that it is known to be about."""
        blocks = [*self.blocks(), *(self.before.blocks() if self.before else ())]
        return {self.symbol}.union(*(block.rows for block in blocks))

    @property
    def is_adjusted(self) -> bool:
        """Whether its prices are those of its adjusted close."""
        return bool(self.content and self.content.has_adjusted and self.settings.adjusted)

    def adjusted_symbols(self) -> Set[str]:
        """The symbols whose prices are so."""
        if not self.content or not self.is_adjusted:
            return frozenset()
        return self.mentioned_symbols() - self.content.raw_tickers

    def fault(self) -> str | None:
        """Why it can't be used, or not to its end, unless that is being written."""
        if self.refusal:
            return self.refusal.reason
        unended = self.content and self.content.unended
        if not unended or is_unsettled(self.stamp):
            return None
        line, row = unended
        place = (
            f"the file {self.path.name!r}, line {line}, value {row[:60].decode(errors='replace')!r}"
        )
        return f"{place}: it has no end, and is no bar until it has"

    def blocks(self) -> list[Block]:
        if not self.content:
            return []
        torn = self.content.torn
        return [*self.content.blocks, *([torn] if torn else [])]

    def read(self, zone_of: ZoneOf) -> "FolderFile":
        """With its content, or with the refusal; as it was before while it is being written."""
        if self.content or self.refusal or self.is_passed_over:
            return self
        try:
            content = self._content(zone_of)
        except UpstreamInvalid as error:
            fault = error
        except UnreadableFile:
            fault = unreadable(self.path)
        except UnusableText as error:
            fault = unreadable(self.path, f": {error}")
        except pl.exceptions.PolarsError as error:
            reason = str(error).splitlines()[0][:_MOST_CHARACTERS]
            fault = unreadable(self.path, f": one of its columns is of no such type ({reason})")
        else:
            if any(block.rows for block in content.blocks) or content.torn:
                return replace(self, content=content, before=None)
            fault = refusal(self.path, "has a header and no rows")
        return self.previous_while_unsettled(replace(self, refusal=fault))

    def previous_while_unsettled(self, refused: "FolderFile") -> "FolderFile":
        """What it was before, for as long as somebody may be writing it anew; else `refused`."""
        return self.before if self.before and is_unsettled(self.stamp) else refused

    def _content(self, zone_of: ZoneOf) -> FileContent:
        if is_binary(self.path):
            table = self._binary_table()
            parts = [
                (
                    roles,
                    read_candles(table, roles, self.settings, symbol=self.symbol, zone_of=zone_of),
                )
                for roles in table_roles(table, self.settings, self.symbol)
            ]
            candles = pl.concat([read.candles for _, read in parts])
            has_adjusted = any(roles.adjusted is not None for roles, _ in parts)
            return FileContent(
                (Block.of(candles),), has_adjusted, raw_tickers([roles for roles, _ in parts])
            )
        reader = TextReader(self.path, self.stamp[1], self.symbol, self.settings, zone_of)
        before = self.before and self.before.content
        return (before and reader.read_appended(before)) or reader.read()

    def slices(self, symbols: Set[str], interval: str) -> list[pl.DataFrame]:
        """Its candles of those symbols, with their starts where they are stamped at their end."""
        slices = [part for block in self.blocks() for part in block.slices(symbols)]
        if self.settings.stamp == "start" or not slices:
            return slices
        return [with_starts(pl.concat(slices), interval)]

    def cell_text(self, line: int, column: str, symbol: str) -> str | None:
        """A cell as it is written, by line, column of RAW_SCHEMA and symbol; None if it is empty.

        None also where there is no such cell. Of a row with more or fewer cells than the header,
        how many it has.
        """
        try:
            table, row = self._table_with(line)
            roles = table_roles(table, self.settings, self.symbol)
        except RaggedRows as ragged:
            return ragged.cells
        except (OSError, NoHeader, csv.Error, UnreadableFile, UnusableText, UpstreamInvalid):
            return None
        mine = next((each for each in roles if each.ticker in (None, symbol)), None)
        position = mine.position(column) if mine else None
        if position is None or not 0 <= row < table.rows:
            return None
        cell = table.columns[position][row]
        return None if cell is None else str(cell)

    def _binary_table(self) -> Table:
        table = read_binary(self.path)
        if is_price_header(table.names, self.settings):
            return table
        return replace(table, names=without_symbol(table.names, self.symbol))

    def _table_with(self, line: int) -> tuple[Table, int]:
        """A table that has the row of a line, and the row."""
        if is_binary(self.path):
            return self._binary_table(), line - 1
        head = text_head(self.path, self.settings.encoding)
        format_ = text_format(head, self.settings, self.symbol)
        text = self.row_text(line)
        return read_text(f"{text}\n".encode() if text else b"", format_, self.path.name)[0], 0

    def row_text(self, line: int) -> str | None:
        """A row as it is written, by its line; None where there is none."""
        try:
            if is_binary(self.path):
                frame = read_binary(self.path)
                if not 0 < line <= frame.rows:
                    return None
                return ",".join(str(column[line - 1]) for column in frame.columns)
            text = plain_text(self.path.read_bytes(), self.path.name, self.settings.encoding)
        except (OSError, UnreadableFile, UnusableText):
            return None
        rows = text.split(b"\n")
        if not 0 < line <= len(rows):
            return None
        return rows[line - 1].decode().removesuffix("\r")


def look_at(
    path: Path, stamp: FileStamp, settings: TableSettings, before: FolderFile | None
) -> FolderFile:
    """What a file is by its header.

    A text that has just become shorter is being written anew: it is what it was before.
    """
    before = _with_content(before, settings)
    rewriting = not is_binary(path) and is_unsettled(stamp)
    if before and rewriting and is_shorter(stamp, before.stamp):
        return before
    file = FolderFile(path, stamp, settings, file_symbol(path.name), before=before)
    try:
        format_ = file_format(path, settings, file.symbol)
    except UnreadableFile:
        return file.previous_while_unsettled(replace(file, refusal=unreadable(path)))
    except UpstreamInvalid as error:
        return replace(file, refusal=error)
    named = has_symbols(format_.names, settings) or format_.tickers is not None
    if format_.is_bars:
        return replace(file, has_symbols=named)
    return replace(file, is_passed_over=True)


def file_symbol(name: str) -> str:
    """What a file is named for: `AAPL.csv.gz` for AAPL, `BTC%2FUSDT.csv` for BTC/USDT."""
    # A name from a Mac has its accents apart.
    return normalize("NFC", unquote(name[: len(name) - len(table_suffix(name))])).strip()


def _with_content(before: FolderFile | None, settings: TableSettings) -> FolderFile | None:
    """The file as it was last read in the same way."""
    if before is None or before.settings != settings:
        return None
    return before if before.content else before.before
