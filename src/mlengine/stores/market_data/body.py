"""The body of an answer: what is long lies outside of the memory of this process."""

from __future__ import annotations

import io
import os
from types import TracebackType
from typing import BinaryIO

# More than a page of the usual size may have; to decode so much takes a hundredth of a second.
_LONG_BYTES = 5 * 2**18
# Many may come at a time.
_BYTES_IN_MEMORY = 2**16
_BEGINNING_BYTES = 1_024


class Body:
    """Grows piece by piece; `file`, at its end while it grows, is a process's standard input.

    Past its first bytes it lies in memory that no process maps; once it `is_long`, it is for
    another process to read.
    """

    def __init__(self, content: bytes = b"") -> None:
        self.file: BinaryIO = io.BytesIO()
        self._in_memory = True
        self.beginning = b""
        self.size = 0
        self.append(content)

    def __enter__(self) -> Body:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.file.close()

    @property
    def is_long(self) -> bool:
        return self.size > _LONG_BYTES

    def append(self, piece: bytes) -> None:
        if self._in_memory and self.size + len(piece) > _BYTES_IN_MEMORY:
            self._move(self.read())
        self.file.write(piece)
        self.size += len(piece)
        if len(self.beginning) < _BEGINNING_BYTES:
            self.beginning = (self.beginning + piece)[:_BEGINNING_BYTES]

    def read(self) -> bytes:
        """All of it."""
        self.file.seek(0)
        return self.file.read()

    def _move(self, content: bytes) -> None:
        self.file.close()
        self.file = os.fdopen(os.memfd_create("answer"), "w+b", buffering=0)
        self.file.write(content)
        self._in_memory = False
