"""Two ways to print: JSON for programs, tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import click
import orjson

from mlengine.core import serialization
from mlengine.core.timestamps import rfc3339


def print_result(value: object, line: str, *, as_json: bool) -> None:
    """What a command did, as a document or as one line."""
    print_json(value) if as_json else click.echo(line)


def print_json(value: object) -> None:
    """One JSON document, numbers to their last bit."""
    click.echo(orjson.dumps(serialization.to_plain(value), option=orjson.OPT_INDENT_2).decode())


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Left-aligned columns under their headers."""
    lines = [list(headers), *[[format_cell(cell) for cell in row] for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


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
