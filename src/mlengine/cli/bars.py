"""`mlengine bars …`: what the upstream serves and what the bar store holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlengine.cli.context import (
    Output,
    asked_line_or_none,
    current_platform,
    current_settings,
    exit_code,
    json_command,
    now,
)
from mlengine.cli.options import SymbolName, as_of_moment, as_of_option, line_option
from mlengine.cli.output import table
from mlengine.cli.quality import quality_text
from mlengine.errors import MlengineError

if TYPE_CHECKING:
    from mlengine.core.bars.bars import BarsReport
    from mlengine.services.bars.quality import BarQualityService

bars = click.Group("bars", help="Fetch, check and show bars.")


@bars.command("fetch")
@click.argument("symbols", nargs=-1, required=True, type=SymbolName())
@line_option
@json_command
def fetch(symbols: tuple[str, ...]) -> Output:
    """Fetch the whole history of SYMBOLS into the bar store.

    Reports what was refused.
    A symbol that fails keeps no other back; the exit code is that of the last failure.
    """
    service = current_platform().bars
    reports: dict[str, BarsReport | MlengineError] = {}
    for symbol in map(service.markets.canonical, symbols):
        try:
            reports[symbol] = service.ingest(symbol, now=now()).report
        except MlengineError as error:
            reports[symbol] = error
    failed = [report for report in reports.values() if isinstance(report, MlengineError)]
    headers = ["symbol", "bars", "mended", "dropped", "error"]
    return Output(
        {symbol: _to_json(report) for symbol, report in reports.items()},
        table(headers, [[symbol, *_row(report)] for symbol, report in reports.items()]),
        exit_code=exit_code(failed[-1]) if failed else 0,
    )


@bars.command("check")
@click.argument("symbols", nargs=-1, type=SymbolName())
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of files to check instead of the upstream.",
)
@line_option
@json_command
def check(symbols: tuple[str, ...], data: Path | None) -> Output:
    """Measure the bars of SYMBOLS before anybody trains on them.

    A folder is read as if MARKET_DATA_DIR were it: with its own symbols.csv, bars.toml and
    actions.csv.
    Without SYMBOLS those that the LINE trains on; where none is named, those of all files, or else
    TRAIN_SYMBOLS. The exit code is 1 when anything is not ok.
    """
    platform = current_platform(needs_database=False)
    quality = _quality_of_folder(platform.bar_quality, data) if data else platform.bar_quality
    of_line = asked_line_or_none() is not None and not data
    listed = symbols or (() if of_line else quality.symbols())
    if not listed and not data:
        listed = platform.features.default_symbols
    series = quality.check_full_history(listed, now=now())
    files = quality.refused_files()
    return Output(
        {"symbols": series, "refused_files": [{"file": f, "reason": r} for f, r in files]},
        quality_text(series, files),
        exit_code=1 if files or any(each.status != "ok" for each in series) else 0,
    )


@bars.command("show")
@click.argument("symbol", type=SymbolName())
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--stored", is_flag=True, help="Read the bar store instead of the upstream.")
@as_of_option
@line_option
@json_command
def show(symbol: str, limit: int, stored: bool, as_of: date | None) -> Output:
    """Show the newest bars of SYMBOL, oldest first."""
    service = current_platform(needs_database=stored).bars
    arrays = (
        service.stored(symbol, bars=limit)
        if stored
        else service.history(
            symbol, bars=limit, as_of=as_of_moment(service, symbol, as_of), now=now()
        ).arrays
    )
    frame = arrays.frame()
    return Output(frame.to_dicts(), table(frame.columns, frame.rows()))


@bars.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@line_option
@json_command
def export(folder: Path) -> Output:
    """Write the stored bars to FOLDER as Parquet.

    One file a symbol, FOLDER/INTERVAL/SYMBOL.parquet, with the newest revision of each bar.
    """
    rows = current_platform().bars.export(folder)
    return Output(rows, table(["symbol", "bars"], rows.items()))


def _quality_of_folder(quality: BarQualityService, folder: Path) -> BarQualityService:
    # These imports load Polars, which no other command shall wait for.
    from mlengine.bootstrap.market_data import open_folder  # noqa: PLC0415
    from mlengine.bootstrap.markets import load_markets  # noqa: PLC0415

    settings = current_settings()
    markets = load_markets(replace(settings, market_data_dir=folder))
    return quality.of_source(open_folder(settings, folder, markets), markets)


def _to_json(report: BarsReport | MlengineError) -> object:
    if isinstance(report, MlengineError):
        return {"error": {"code": report.code, "detail": str(report)}}
    return report


def _row(report: BarsReport | MlengineError) -> list[object]:
    if isinstance(report, MlengineError):
        return [None, None, None, f"{report.code}: {report}"]
    return [report.accepted, _counts(report.mended), _counts(report.dropped), None]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
