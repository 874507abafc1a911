"""`flask bars …`: what the upstream serves and what the bar store holds."""

from __future__ import annotations

from datetime import datetime

import click
import polars as pl
from flask.cli import AppGroup

from mlengine.cli import shell
from mlengine.core.bars import BarsReport

bars = AppGroup("bars", help="Fetch bars into the store, and show them.")


@bars.command("fetch")
@click.argument("symbols", nargs=-1, required=True)
@shell.as_json
@shell.command
def fetch(symbols: tuple[str, ...], json_: bool) -> None:
    """Fetch the whole history of SYMBOLS into the bar store, and report what was refused."""
    reports = {symbol: shell.engine().bars.fetch(symbol, now=shell.now()) for symbol in symbols}
    if json_:
        shell.print_json({symbol: clean.report for symbol, clean in reports.items()})
        return
    shell.print_table(
        ["symbol", "bars", "mended", "dropped"],
        [
            [symbol, clean.report.accepted, _counts(clean.report, "mended")]
            + [_counts(clean.report, "dropped")]
            for symbol, clean in reports.items()
        ],
    )


@bars.command("show")
@click.argument("symbol")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--stored", is_flag=True, help="Read the bar store instead of the upstream.")
@shell.as_of
@shell.as_json
@shell.command
def show(symbol: str, limit: int, stored: bool, as_of: datetime | None, json_: bool) -> None:
    """Show the newest bars of SYMBOL, oldest first."""
    service = shell.engine().bars
    frame = (
        service.stored(symbol).tail(limit)
        if stored
        else service.history(symbol, bars=limit, as_of=as_of, now=shell.now()).frame
    )
    _print(frame, json_)


def _print(frame: pl.DataFrame, json_: bool) -> None:
    if json_:
        shell.print_json(frame.to_dicts())
    else:
        shell.print_table(frame.columns, frame.rows())


def _counts(report: BarsReport, kind: str) -> str:
    counts = getattr(report, kind)
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
