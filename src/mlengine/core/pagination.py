"""One page of a list that is read newest first, and its opaque cursor."""

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


def encode_cursor(position: int) -> str:
    """The cursor of the rows older than the one at `position` (from 1 on)."""
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> int:
    """The inverse of `encode_cursor`; raises InvalidRequest on anything else."""
    try:
        digits = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, UnicodeEncodeError):
        digits = b""
    if not _POSITION.fullmatch(digits) or encode_cursor(int(digits)) != cursor:
        raise InvalidRequest({"cursor": ["is not a cursor of this list"]})
    return int(digits)
