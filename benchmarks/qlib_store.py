"""Bars as Microsoft Qlib stores them: a calendar, a list of symbols, and a file a column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

PRICES = {name: pl.col(name) for name in ("open", "high", "low", "close", "volume")}
# Without a volume-weighted average price the typical one stands for it, as in `alpha158`.
COLUMNS = {**PRICES, "vwap": (pl.col("high") + pl.col("low") + pl.col("close")) / 3.0}


def write(bars: pl.DataFrame, folder: Path) -> None:
    """Daily bars of symbols that all have every day of the calendar."""
    calendar = bars["timestamp"].unique().sort().dt.strftime("%Y-%m-%d").to_list()
    symbols = bars["symbol"].unique(maintain_order=True).to_list()
    spans = [f"{symbol}\t{calendar[0]}\t{calendar[-1]}" for symbol in symbols]
    _write_lines(folder / "calendars" / "day.txt", calendar)
    _write_lines(folder / "instruments" / "all.txt", spans)
    for (symbol,), history in bars.group_by("symbol"):
        _write_columns(history.sort("timestamp"), folder / "features" / str(symbol).lower())


def _write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def _write_columns(history: pl.DataFrame, folder: Path) -> None:
    """Single precision; the first number is the place of the first bar in the calendar."""
    folder.mkdir(parents=True)
    for name, values in history.select(**COLUMNS).to_dict().items():
        np.append(0.0, values.to_numpy()).astype("<f4").tofile(folder / f"{name}.day.bin")
