"""The counters of one process, in a file that outlives it however it ends.

The file is mapped into memory: to count is to write to memory, and the kernel keeps what a killed
process wrote. Its layout: a header (the layout's number, how many bytes are used), then series one
after another (the length of the key, the number of cells, the key, the cells as float64), each
padded to eight bytes. The process holds a lock on its file as long as it lives, by which others
know that it does.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

SUFFIX = ".counts"

_LAYOUT = 1
_HEADER = struct.Struct("<QQ")
_SERIES = struct.Struct("<II")
_WORD = 8
# More series than that a process counts for itself alone; a file has as many blocks as it uses.
_MOST_BYTES = 8 * 1024 * 1024
_STEP_BYTES = 64 * 1024

Cells: TypeAlias = "memoryview[float]"


class CounterFile:
    """Opened by one process; not safe for threads, but for the cells that it has given out."""

    def __init__(self, folder: Path) -> None:
        """Make a new file in `folder`, and the folder in one above it that is there.

        Raises OSError.
        """
        for each in (folder.parent, folder):
            each.mkdir(mode=0o700, exist_ok=True)
        aside = folder / f".{os.getpid()}-{secrets.token_hex(8)}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._handle = os.open(aside, flags, 0o600)
        try:
            # Before it has its name, so that nobody takes it for one of a process that has ended.
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            self._allocated = 0
            self._allocate(_STEP_BYTES)
            self._map = mmap.mmap(self._handle, _MOST_BYTES)
            self.path = folder / (aside.name[1:] + SUFFIX)
            self._end = _HEADER.size
            self._write_header()
            aside.rename(self.path)
        except OSError:
            os.close(self._handle)
            aside.unlink(missing_ok=True)
            raise
        self._words = memoryview(self._map)

    def add_series(self, key: bytes, cells: int) -> Cells:
        """New cells, float64 and zero; raises OSError where the disk has no room for them."""
        start = self._end + _SERIES.size + _padded(len(key))
        end = start + cells * _WORD
        if end > _MOST_BYTES:
            raise OSError("there are too many series")
        if end > self._allocated:
            self._allocate(end + _STEP_BYTES)
        _SERIES.pack_into(self._map, self._end, len(key), cells)
        self._map[self._end + _SERIES.size : self._end + _SERIES.size + len(key)] = key
        self._end = end
        self._write_header()
        return self._words[start:end].cast("d")

    def _allocate(self, size: int) -> None:
        """To write to a part of a map that has no block on a full disk would kill the process."""
        size = min(-(-size // _STEP_BYTES) * _STEP_BYTES, _MOST_BYTES)
        os.posix_fallocate(self._handle, self._allocated, size - self._allocated)
        if not self._allocated:
            os.ftruncate(self._handle, _MOST_BYTES)
        self._allocated = size

    def _write_header(self) -> None:
        _HEADER.pack_into(self._map, 0, _LAYOUT, self._end)


def read_series(content: bytes) -> Iterator[tuple[bytes, tuple[float, ...]]]:
    """Each series of a file, with its key; nothing of a file of another layout, or a torn one."""
    if len(content) < _HEADER.size:
        return
    layout, end = _HEADER.unpack_from(content)
    if layout != _LAYOUT or end > len(content):
        return
    at = _HEADER.size
    while at + _SERIES.size <= end:
        length, cells = _SERIES.unpack_from(content, at)
        start = at + _SERIES.size + _padded(length)
        if start + cells * _WORD > end:
            return
        key = content[at + _SERIES.size : at + _SERIES.size + length]
        yield key, struct.unpack_from(f"<{cells}d", content, start)
        at = start + cells * _WORD


def _padded(length: int) -> int:
    return -(-length // _WORD) * _WORD
