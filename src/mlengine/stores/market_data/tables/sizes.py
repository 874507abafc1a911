"""How much a file holds, before it is unpacked: a few bytes may be gigabytes."""

import struct
import zlib
from pathlib import Path

from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.tables.arrow_rows import arrow_rows
from mlengine.stores.system.table_files import (
    UnreadableFile,
    parquet_columns,
    parquet_rows,
    translated_read_errors,
)

_GZIP, _ZSTD = b"\x1f\x8b", 0xFD2FB528
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_PIECE_BYTES = 1 << 20
# No byte of gzip is more than so many of the text.
_MOST_BY_GZIP = 1_032
# A block of zstd that is compressed says only that it holds no more than that.
_ZSTD_BLOCK_BYTES = 128 * 1_024
# Of a value in memory, and of a table with fewer columns: those of a candle.
_BYTES_A_VALUE, _FEWEST_COLUMNS = 16, 8


def require_size(path: Path, most_bytes: int) -> None:
    """Raises UpstreamInvalid where a file, or what it unpacks to, is larger; UnreadableFile."""
    suffix = path.suffix.lower()
    with translated_read_errors(path.name):
        if path.stat().st_size > most_bytes:
            raise _too_large(path)
        if suffix == ".parquet":
            _require_rows(path, parquet_rows(path), len(parquet_columns(path)), most_bytes)
        elif suffix in (".arrow", ".feather", ".ipc"):
            _require_rows(path, *_arrow_shape(path), most_bytes)
        else:
            _require_text(path, most_bytes)


def _require_rows(path: Path, rows: int, columns: int, most_bytes: int) -> None:
    if rows * max(columns, _FEWEST_COLUMNS) * _BYTES_A_VALUE > most_bytes:
        raise _too_large(path, f", in {rows} rows")


def _arrow_shape(path: Path) -> tuple[int, int]:
    try:
        return arrow_rows(path.read_bytes())
    except (struct.error, IndexError, ValueError):
        raise UnreadableFile(path.name) from None


def _require_text(path: Path, most_bytes: int) -> None:
    with path.open("rb") as file:
        head = file.read(4)
        if head.startswith(_GZIP):
            if path.stat().st_size * _MOST_BY_GZIP > most_bytes:
                _require_gzip(path, head + file.read(), most_bytes)
        elif head == struct.pack("<I", _ZSTD) and zstd_bytes(head + file.read()) > most_bytes:
            raise _too_large(path)


def _require_gzip(path: Path, content: bytes, most_bytes: int) -> None:
    """Unpack piece by piece, and keep none of them; what is damaged, the reader finds."""
    size = 0
    try:
        while content:
            member = zlib.decompressobj(wbits=31)
            while not member.eof and content:
                size += len(member.decompress(content, _PIECE_BYTES))
                content = member.unconsumed_tail or member.unused_data
                if size > most_bytes:
                    raise _too_large(path)
    except zlib.error:
        return


def zstd_bytes(content: bytes) -> int:
    """How many bytes frames of zstd unpack to at most, by the headers of their blocks."""
    size = at = 0
    try:
        while at + 4 <= len(content):
            (magic,) = struct.unpack_from("<I", content, at)
            if magic in _SKIPPABLE:
                at += 8 + struct.unpack_from("<I", content, at + 4)[0]
                continue
            if magic != _ZSTD:
                break
            flags = content[at + 4]
            single, checksum = flags >> 5 & 1, flags >> 2 & 1
            at += 5 + (not single) + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6]
            last = False
            while not last:
                block = int.from_bytes(content[at : at + 3], "little")
                last, kind, length = (
                    bool(block & 1) or at >= len(content),
                    block >> 1 & 3,
                    block >> 3,
                )
                size += _ZSTD_BLOCK_BYTES if kind == 2 else length
                at += 3 + (1 if kind == 1 else length)
            at += 4 * checksum
    except (struct.error, IndexError):
        return size
    return size


def _too_large(path: Path, further: str = "") -> UpstreamInvalid:
    words = f"holds more than MARKET_DATA_MAX_MB allows{further}"
    return UpstreamInvalid(f"the file {path.name!r} {words}")
