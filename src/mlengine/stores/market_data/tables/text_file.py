"""A text file of bars; of one that has grown only the tail is read."""

import os
import zlib
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import polars as pl

from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.tables.blocks import Block, join_blocks
from mlengine.stores.market_data.tables.candles import ZoneOf, read_candles
from mlengine.stores.market_data.tables.columns.roles import Roles, table_roles
from mlengine.stores.market_data.tables.settings import TableSettings
from mlengine.stores.market_data.tables.table import Table
from mlengine.stores.market_data.tables.text import (
    HEAD_BYTES,
    UnusableText,
    first_row_at,
    plain_text,
    read_text,
    with_line_feeds,
)
from mlengine.stores.market_data.tables.text_format import TextFormat, text_format
from mlengine.stores.system.table_files import UnreadableFile

_MOST_BLOCKS = 32
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class ResumePoint:
    """Where the next row of a file will begin, and all that it takes to read it.

    `checksum` is over all that comes before.
    """

    inode: int
    at: int
    checksum: int
    format: TextFormat
    roles: Sequence[Roles]
    settings: TableSettings


@dataclass(frozen=True, eq=False)
class FileContent:
    """The candles of a file, and `torn`, what is there of a line without an end.

    `tail` is None where a part of the file can't be read alone. `has_adjusted` says that it has
    an adjusted close beside the close, but for those of `raw_tickers`; `unended` is the last line,
    by number and bytes, where it has no end.
    """

    blocks: tuple[Block, ...]
    has_adjusted: bool = False
    raw_tickers: Set[str] = frozenset()
    torn: Block | None = None
    tail: ResumePoint | None = None
    unended: tuple[int, bytes] | None = None


@dataclass(frozen=True)
class TextReader:
    """Reads a text file of that size; `symbol` is that of a row that says none."""

    path: Path
    size: int
    symbol: str
    settings: TableSettings
    zone_of: ZoneOf

    def read(self) -> FileContent:
        """The whole file; raises UnreadableFile, NoHeader, UnusableText, UpstreamInvalid.

        A file that has become shorter is being written anew, and unreadable until then.
        """
        with _opened(self.path) as file:
            content, inode = file.read(), os.fstat(file.fileno()).st_ino
        if len(content) < self.size:
            raise UnreadableFile(self.path.name)
        plain = plain_text(content, self.path.name, self.settings.encoding)
        format_ = text_format(plain[:HEAD_BYTES], self.settings, self.symbol)
        table, torn = read_text(plain[first_row_at(plain, format_) :], format_, self.path.name)
        roles = table_roles(table, self.settings, self.symbol)
        blocks, settings, needs_whole_file = self._blocks(table, roles, self.settings)
        tail = None
        if not needs_whole_file and content.endswith(plain) and not self.settings.encoding:
            following = replace(format_, first_line=format_.first_line + table.rows)
            end = content.rfind(b"\n") + 1
            checksum = zlib.crc32(memoryview(content)[:end])
            tail = ResumePoint(inode, end, checksum, following, roles, settings)
        has_adjusted = any(each.adjusted is not None for each in roles)
        unended = _unended_line(plain, format_.first_line + table.rows)
        return FileContent(
            tuple(blocks),
            has_adjusted,
            raw_tickers(roles),
            self._torn(torn, roles, settings),
            tail,
            unended,
        )

    def read_appended(self, before: FileContent) -> FileContent | None:
        """With what was appended since; None where the file has to be read as a whole."""
        tail = before.tail
        if tail is None:
            return None
        with _opened(self.path) as file:
            is_same = os.fstat(file.fileno()).st_ino == tail.inode
            if not is_same or _checksum(file, tail.at) != tail.checksum:
                return None
            rows = file.read()
        if with_line_feeds(rows) != rows:
            return None
        try:
            table, torn = read_text(rows, tail.format, self.path.name)
            further, _, needs_whole_file = self._blocks(table, tail.roles, tail.settings)
        except (UnusableText, UpstreamInvalid):
            return None
        if needs_whole_file or self._has_other_roles(table, tail):
            return None
        following = replace(tail.format, first_line=tail.format.first_line + table.rows)
        whole = rows.rfind(b"\n") + 1
        checksum = zlib.crc32(memoryview(rows)[:whole], tail.checksum)
        return replace(
            before,
            blocks=join_blocks((*before.blocks, *further), _MOST_BLOCKS),
            torn=self._torn(torn, tail.roles, tail.settings),
            tail=replace(tail, at=tail.at + whole, checksum=checksum, format=following),
            unended=_unended_line(rows, following.first_line),
        )

    def _has_other_roles(self, table: Table, tail: ResumePoint) -> bool:
        """Whether what was appended shows that the rows before were not what they seemed."""
        if not table.rows or not any(each.depend_on_rows for each in tail.roles):
            return False
        return table_roles(table, tail.settings, self.symbol) != list(tail.roles)

    def _blocks(
        self, table: Table, roles: Sequence[Roles], settings: TableSettings
    ) -> tuple[list[Block], TableSettings, bool]:
        """The candles of each of the roles; how the cells are written; whether some leave a doubt.

        Without a row nothing is decided.
        """
        parts: list[pl.DataFrame] = []
        needs_whole_file = False
        for each in roles if table.rows else ():
            read = read_candles(table, each, settings, symbol=self.symbol, zone_of=self.zone_of)
            parts.append(read.candles)
            settings, needs_whole_file = read.settings, needs_whole_file or read.needs_whole_file
        return ([Block.of(pl.concat(parts))] if parts else []), settings, needs_whole_file

    def _torn(
        self, table: Table | None, roles: Sequence[Roles], settings: TableSettings
    ) -> Block | None:
        """Candles that are not final, for the symbols whose next bar is being written."""
        if table is None:
            return None
        try:
            return next(iter(self._blocks(table, roles, settings)[0]), None)
        except UpstreamInvalid:
            return None


def raw_tickers(roles: Sequence[Roles]) -> Set[str]:
    """Those, of several beside each other, that have no adjusted close."""
    return frozenset(each.ticker for each in roles if each.ticker and each.adjusted is None)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError:
        raise UnreadableFile(path.name) from None


def _unended_line(rows: bytes, line: int) -> tuple[int, bytes] | None:
    rest = rows[rows.rfind(b"\n") + 1 :]
    return (line, rest) if rest else None


def _checksum(file: BinaryIO, end: int) -> int:
    """Of all bytes before `end`, where the file is then."""
    checksum = at = 0
    while at < end and (piece := file.read(min(end - at, _PIECE_BYTES))):
        checksum = zlib.crc32(piece, checksum)
        at += len(piece)
    return checksum
