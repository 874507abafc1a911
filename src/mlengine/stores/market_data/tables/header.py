"""What a file is by its header, or why it is no table of bars, in words that say what to do."""

import codecs
import csv
from pathlib import Path

from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.tables.binary import binary_names, is_binary
from mlengine.stores.market_data.tables.columns.names import (
    is_price_header,
    is_symbol_list,
    without_symbol,
)
from mlengine.stores.market_data.tables.folder import table_suffix, unreadable_kind
from mlengine.stores.market_data.tables.settings import SETTINGS_FILE, TableSettings
from mlengine.stores.market_data.tables.sizes import require_size
from mlengine.stores.market_data.tables.text import UnusableText, text_head
from mlengine.stores.market_data.tables.text_format import (
    NoHeader,
    NoSeparator,
    TextFormat,
    is_tabular,
    text_format,
)

_PACKED = {
    b"PK\x03\x04": "is a ZIP archive or a workbook; unpack it, or save it as CSV",
    b"\xfd7zXZ\x00": "is packed by xz; unpack it",
    b"BZh": "is packed by bzip2; unpack it",
    b"\xd0\xcf\x11\xe0": "is a workbook; save it as CSV",
}
_HTML = (b"<!doctype html", b"<html", b"<?xml", b"<table")
_ENCODING = f"({SETTINGS_FILE} can state encoding)"
_MOST_CHARACTERS = 80


def file_format(path: Path, settings: TableSettings, symbol: str = "") -> TextFormat:
    """How a file that is named for a symbol is written; raises UnreadableFile, UpstreamInvalid.

    One without prices in its header is a list of symbols, or a text that is no table.
    """
    if kind := unreadable_kind(path):
        raise refusal(path, kind)
    require_size(path, settings.most_bytes)
    if is_binary(path):
        format_, head = _binary_format(path, settings, symbol), b""
    else:
        format_, head = _text_format(path, settings, symbol)
    may_be_prose = table_suffix(path.name).startswith(".txt") and not is_tabular(head, format_)
    if format_.is_bars or format_.is_list or may_be_prose:
        return format_
    raise _no_prices(path, head, format_, settings)


def unreadable(path: Path, further: str = "") -> UpstreamInvalid:
    """Of a file that nothing can be read of."""
    return refusal(path, f"can't be read{further or ': it is cut short, or damaged'}")


def refusal(path: Path, words: str) -> UpstreamInvalid:
    return UpstreamInvalid(f"the file {path.name!r} {words}")


def _binary_format(path: Path, settings: TableSettings, symbol: str) -> TextFormat:
    names, tickers = binary_names(path)
    names = without_symbol(names, symbol)
    is_bars = is_price_header(names, settings) or isinstance(settings.columns, tuple)
    is_list = is_symbol_list(names, settings)
    return TextFormat("", names, 1, tickers, is_bars=is_bars, is_list=is_list)


def _text_format(path: Path, settings: TableSettings, symbol: str) -> tuple[TextFormat, bytes]:
    """With the first bytes."""
    try:
        head = text_head(path, settings.encoding)
    except UnusableText as error:
        raise unreadable(path, f": {error}") from None
    for mark, packed in _PACKED.items():
        if head.startswith(mark):
            raise refusal(path, packed)
    try:
        return text_format(head, settings, symbol), head
    except NoSeparator:
        words = "has blanks between its columns; write a comma, or a tab"
        raise refusal(path, words) from None
    except (NoHeader, csv.Error):
        words = f"has no header; name its columns in {SETTINGS_FILE}, as columns = ['date', …]"
        raise refusal(path, _foreign_kind(head) or words) from None


def _no_prices(
    path: Path, head: bytes, format_: TextFormat, settings: TableSettings
) -> UpstreamInvalid:
    """Of a table whose header names no prices."""
    columns = ", ".join(format_.names)[:_MOST_CHARACTERS]
    if not columns:
        return refusal(path, "is empty")
    named = "names none of them" if settings.columns else "can name them: columns"
    words = f"has no column of prices in its header: {columns!r} ({SETTINGS_FILE} {named})"
    return refusal(path, _foreign_kind(head) or words)


def _foreign_kind(head: bytes) -> str | None:
    """What else a file is, by its first bytes."""
    if head.lstrip().lower().startswith(_HTML):
        return f"is HTML or XML, no table: {head[:_MOST_CHARACTERS].decode(errors='replace')!r}"
    if b"\0" in head:
        return f"holds zero bytes, as UTF-16 does that has no byte order mark {_ENCODING}"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return f"is no text in UTF-8 {_ENCODING}"
    return None
