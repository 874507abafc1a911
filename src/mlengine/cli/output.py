"""Two ways to say something: JSON for programs, tables for people."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import orjson

from mlengine.core import serialization
from mlengine.core.timestamps import rfc3339


def as_json(value: object) -> str:
    """One JSON document, numbers to their last bit."""
    return orjson.dumps(serialization.to_plain(value), option=orjson.OPT_INDENT_2).decode()


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Left-aligned columns under their headers."""
    lines = [list(headers), *[[format_cell(cell) for cell in row] for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def format_size(count: int) -> str:
    """A number of bytes in a unit that fits, in steps of a thousand."""
    if count < 1000:
        return f"{count} B"
    power = min((len(str(count)) - 1) // 3, 4)
    return f"{count / 1000**power:.3g} {' kMGT'[power]}B"


def format_cell(value: object) -> str:
    """A value as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return rfc3339(value.replace(microsecond=0))
    return str(value)
