"""How much of SQLite's write-ahead log has reached the disk, and what a power cut leaves of it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

_HEADER, _FRAME = 32, 24  # bytes of the log's header, and of the one before each page


class Position(NamedTuple):
    """How far the log is: its number, which a restart of the log raises, and its frames."""

    log: int
    frames: int


_START = Position(0, 0)


@dataclass(eq=False)
class Log:
    """The write-ahead log of a database, of which the frames up to `forced` are on the disk."""

    path: Path
    forced: Position = _START
    _salt: bytes = b""
    _number: int = 0

    def position(self) -> Position:
        """Where it stands now: its frames are those of its newest salt."""
        content = self.path.read_bytes() if self.path.exists() else b""
        salt = content[16:24]
        if salt != self._salt:
            self._salt, self._number = salt, self._number + 1
        frames = 0
        if salt:
            for start in range(_HEADER, len(content) - _FRAME, _frame_bytes(content)):
                if content[start + 8 : start + 16] != salt:
                    break
                frames += 1
        return Position(self._number, frames)

    def force(self) -> None:
        self.forced = self.position()

    def cut(self, chance: Random) -> tuple[Position, bytes]:
        """Up to where it has reached the disk, and what the disk has of it."""
        position = self.position()
        sure = self.forced.frames if self.forced.log == position.log else 0
        kept = chance.choice((sure, position.frames, chance.randint(sure, position.frames)))
        content = self.path.read_bytes() if self.path.exists() else b""
        self.forced = Position(position.log, kept)
        end = _HEADER + kept * _frame_bytes(content) if content else 0
        return self.forced, content[:end]


def _frame_bytes(log: bytes) -> int:
    (page,) = struct.unpack(">I", log[8:12])
    return _FRAME + int(page)
