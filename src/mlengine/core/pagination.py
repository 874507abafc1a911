"""One page of a list that is read newest first, and its opaque cursor."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Generic, TypeVar

from mlengine.errors import InvalidRequest

Row = TypeVar("Row")
_POSITION = re.compile(rb"[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """`rows`, newest first; `next_cursor` asks for the older ones, None at the end."""

    rows: tuple[Row, ...]
    next_cursor: str | None


def cursor_after(position: int) -> str:
    """The cursor of the rows older than the one at `position` (from 1 on)."""
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


def position_of(cursor: str) -> int:
    """The inverse of `cursor_after`; raises InvalidRequest on anything else."""
    try:
        digits = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, UnicodeEncodeError):
        digits = b""
    if not _POSITION.fullmatch(digits) or cursor_after(int(digits)) != cursor:
        raise InvalidRequest({"cursor": ["is not a cursor of this list"]})
    return int(digits)
