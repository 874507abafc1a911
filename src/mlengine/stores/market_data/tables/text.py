"""Text files as tables of texts: CSV of any separator, plain or compressed."""

import codecs
import gzip
import io
import zlib
from dataclasses import replace
from pathlib import Path

import polars as pl

from mlengine.stores.market_data.tables.columns.names import has_all_prices, value_order
from mlengine.stores.market_data.tables.table import Table
from mlengine.stores.market_data.tables.text_format import TextFormat, line_cells
from mlengine.stores.system.table_files import UnreadableFile, translated_read_errors

HEAD_BYTES = 65_536
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_MOST_EMPTY, _MOST_EMPTY_SHARE = 16, 0.1
# Of lines that are no rows, so many are looked at.
_MOST_HEADERS = 64
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class UnusableText(ValueError):
    """A text that is no table; the message says why."""


class RaggedRows(UnusableText):
    """No row has as many cells as the header; `cells` says it of the first of them."""

    def __init__(self, format_: TextFormat, count: int) -> None:
        self.cells = f"{count} cells, where the header has {len(format_.names)}"
        super().__init__(f"line {format_.first_line} has {self.cells}, and no other row fits")


def is_compressed(content: bytes) -> bool:
    return content.startswith((_GZIP, _ZSTD))


def plain_text(content: bytes, name: str, encoding: str | None = None) -> bytes:
    """UTF-8 without a mark, of a file that may be compressed, in UTF-16 or in an `encoding`.

    Its lines end with a line feed, though those of the file may end with a carriage return alone.
    A compressed file that is cut short is unreadable, never a shorter one. Raises UnreadableFile,
    UnusableText.
    """
    try:
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
        elif content.startswith(_ZSTD):
            content = _decompress_zstd(content, name)
        if content.startswith(_UTF16):
            content = content.decode("utf-16").encode()
        elif encoding:
            content = content.decode(encoding).encode()
        content = content.removeprefix(codecs.BOM_UTF8)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        raise UnreadableFile(name) from None
    if not content.isascii():
        _refuse_other_text(content)
    return with_line_feeds(content)


def with_line_feeds(content: bytes) -> bytes:
    """In place of carriage returns, where some line ends with one of these alone."""
    if b"\r" not in content:
        return content
    content = content.replace(b"\r\r\n", b"\r\n")
    alone = content.count(b"\r") - content.count(b"\r\n")
    # The last one may have its line feed still to come.
    if alone - (content.endswith(b"\r") and b"\n" in content) <= 0:
        return content
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _refuse_other_text(content: bytes) -> None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        words = f"line {line} is no text in UTF-8 (bars.toml can state encoding)"
        raise UnusableText(words) from None


def text_head(path: Path, encoding: str | None = None) -> bytes:
    """The first lines of a text file; raises UnreadableFile, UnusableText."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if encoding or is_compressed(head) or head.startswith(_UTF16):
                return plain_text(head + file.read(), path.name, encoding)[:HEAD_BYTES]
    except OSError:
        raise UnreadableFile(path.name) from None
    # A letter of several bytes may be cut at the end.
    return with_line_feeds(head.removeprefix(codecs.BOM_UTF8))


def first_row_at(content: bytes, format_: TextFormat) -> int:
    """Where the first row begins."""
    at = 0
    for _ in range(format_.first_line - 1):
        at = content.find(b"\n", at) + 1 or len(content)
    return at


def read_text(content: bytes, format_: TextFormat, name: str) -> tuple[Table, Table | None]:
    """The rows of `content`, which begins with a row, all cells as texts; one row for each line.

    A line with more cells than the header has none, for nobody knows which they are; nor has one
    with fewer, where the others have a last cell. A last line without an end is a table of its
    own, with the cells that a separator ended. Raises UnreadableFile, UnusableText.
    """
    end = content.rfind(b"\n") + 1
    cells = _cells(content[:end], format_, name)
    columns, ragged = _without_ragged(cells, content[:end], format_)
    table = Table(
        *(name, format_.names, tuple(columns), format_.first_line, format_.tickers),
        stated_zone=format_.stated_zone,
        ragged=ragged,
    )
    return table, _torn(content[end:], table, format_)


def _cells(lines: bytes, format_: TextFormat, name: str) -> pl.DataFrame:
    rows = lines.count(b"\n")
    quotes = b'"' in lines
    with translated_read_errors(name):
        if quotes:
            try:
                cells = _parse(lines, format_, '"')
            except pl.exceptions.PolarsError:
                cells = None
            if cells is not None and cells.height == rows:
                return cells
        cells = _parse(lines, format_, None)
    if cells.height != rows:
        raise UnreadableFile(name)
    # A quote that nothing ends would swallow the lines that follow: each line stands for itself.
    return cells.with_columns(pl.all().str.strip_chars('"')) if quotes else cells


def _parse(lines: bytes, format_: TextFormat, quote: str | None) -> pl.DataFrame:
    """One column more than the header has, for what stands beyond it."""
    return pl.read_csv(
        lines,
        has_header=False,
        schema={str(i): pl.String for i in range(len(format_.names) + 1)},
        separator=format_.separator,
        quote_char=quote,
        missing_columns="insert",
        extra_columns="ignore",
        truncate_ragged_lines=True,
        raise_if_empty=False,
    )


def _without_ragged(
    cells: pl.DataFrame, lines: bytes, format_: TextFormat
) -> tuple[list[pl.Series], pl.Series | None]:
    """The columns, and which rows have more or fewer cells than the header, if any."""
    *columns, beyond = cells.get_columns()
    last = columns[-1]
    may_be_short = last.null_count() > 0 and (last.null_count() < len(last) or _is_named(format_))
    if beyond.null_count() == len(beyond) and not may_be_short:
        return columns, None
    bad = beyond.is_not_null()
    if may_be_short:
        bad |= _are_short(last.is_null(), lines, format_)
    if not bad.any():
        return columns, None
    _refuse_other_header(bad, lines, format_)
    if bad.all():
        first = lines.split(b"\n", 1)[0].decode(errors="replace")
        raise RaggedRows(format_, len(line_cells(first, format_.separator)))
    return [column.set(bad, None) for column in columns], bad


def _refuse_other_header(bad: pl.Series, lines: bytes, format_: TextFormat) -> None:
    """That none of these lines is a header, of rows that have other columns than those before.

    It may follow a row that has no end.
    """
    firsts = (bad & ~bad.shift(1, fill_value=False)).arg_true().head(_MOST_HEADERS)
    split = lines.split(b"\n")
    for row in firsts.to_list():
        names = line_cells(split[row].decode(errors="replace"), format_.separator)
        if has_all_prices(names) and value_order(names) != value_order(format_.names):
            words = "has a header of other columns than the first; split the file there"
            raise UnusableText(f"line {format_.first_line + row} {words}")


def _is_named(format_: TextFormat) -> bool:
    """Whether the last cell of the header is a column, and not only what follows a separator."""
    return bool(format_.names[-1].strip())


def _are_short(doubtful: pl.Series, lines: bytes, format_: TextFormat) -> pl.Series:
    """Of the rows without a last cell those that end before it.

    Lines without anything are counted among them, unless there are so many that they stand between
    the rows by intention, or below them.
    """
    rows = doubtful.arg_true()
    split = lines.split(b"\n")
    counts = pl.Series([split[row].count(format_.separator.encode()) for row in rows.to_list()])
    short = counts.cast(pl.Int64) < len(format_.names) - 1
    empty = pl.Series([not split[row].strip() for row in rows.to_list()], dtype=pl.Boolean)
    if int(empty.sum()) > max(_MOST_EMPTY, _MOST_EMPTY_SHARE * len(doubtful)):
        short &= ~empty
    return pl.repeat(value=False, n=len(doubtful), dtype=pl.Boolean, eager=True).scatter(
        rows, short
    )


def _torn(line: bytes, table: Table, format_: TextFormat) -> Table | None:
    """What was written to its end of a line that has none."""
    whole, separator, _ = line.rpartition(format_.separator.encode())
    if not separator or whole.count(b'"') % 2:
        return None
    try:
        cells = _cells(whole + b"\n", format_, table.file)
    except UnreadableFile:
        return None
    columns = tuple(cells.get_columns()[: len(table.columns)])
    return replace(
        table, columns=columns, first_line=table.first_line + table.rows, torn=True, ragged=None
    )


def _decompress_zstd(content: bytes, name: str) -> bytes:
    """As one cell of a table, which no byte of a text ends."""
    with translated_read_errors(name):
        whole = pl.read_csv(
            io.BytesIO(content),
            has_header=False,
            schema={"text": pl.String},
            separator="\x1f",
            eol_char="\x1e",
            quote_char=None,
            raise_if_empty=False,
        )
    return "\x1e".join(text or "" for text in whole["text"]).encode()
