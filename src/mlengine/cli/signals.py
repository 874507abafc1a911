"""`mlengine signals …`."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import click

from mlengine.cli.context import (
    Output,
    asked_line,
    current_control,
    current_platform,
    json_command,
    now,
)
from mlengine.cli.options import AsOfParam, line_option, range_options
from mlengine.cli.output import table

signals = click.Group("signals", help="Show which bars were scored; export what was said.")

_SUFFIXES = {".csv": "csv", ".arrow": "arrow", ".parquet": "parquet"}
_HEADERS = ("bar", "final", "complete", "champion", "before it", "symbols", "pending")


@signals.command("bars")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@line_option
@json_command
def bars(limit: int) -> Output:
    """Show the newest bars that were scored, or are being.

    Which lines are scored is a matter of SIGNALS.
    """
    newest = current_control().signal_plans.newest(asked_line(), limit=limit)
    rows = [
        [bar.bar_timestamp, bar.final_at, bar.completed_at, bar.champion, bar.previous]
        + [bar.symbols, bar.pending]
        for bar in newest
    ]
    return Output(newest, table(_HEADERS, rows) if rows else "no bar was scored yet")


@signals.command("export")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@range_options("Bars")
@click.option(
    "--as-of", type=AsOfParam(), help="What was known then, of a date at its end; now without it."
)
@click.option("--version", help="What this one said; each bar's champion without it.")
@click.option("--symbol")
@line_option
@json_command
def export(
    path: Path,
    since: datetime | None,
    until: datetime | None,
    as_of: date | None,
    version: str | None,
    symbol: str | None,
) -> Output:
    """Write the panel, date by symbol, to PATH.

    A file ending in .parquet, .arrow or .csv; one that is there is replaced.
    """
    table_format = _SUFFIXES.get(path.suffix)
    if table_format is None:
        raise click.BadParameter(f"must end in {', '.join(_SUFFIXES)}", param_hint="PATH")
    from mlengine.core.signals.signal import SignalQuery  # noqa: PLC0415 - as the platform

    asked = SignalQuery(since, until, _end_of(as_of), version, symbol)
    rows = current_platform().signals.write(asked, path, table_format)  # type: ignore[arg-type]
    return Output({"rows": rows, "path": str(path)}, f"{rows} rows are in {path}")


def _end_of(as_of: date | None) -> datetime | None:
    """The moment of `--as-of`: of a bare date its end in UTC, as over HTTP."""
    if as_of is None or isinstance(as_of, datetime):
        return as_of
    end = datetime.combine(as_of, time(), UTC) + timedelta(days=1)
    if end > now():
        raise click.BadParameter(f"{end:%Y-%m-%d} is in the future", param_hint="--as-of")
    return end
