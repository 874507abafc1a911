"""Prints by how many MB memory grows while one symbol of each of many panels is referenced."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from tests.factories import random_bars

from mlengine.core.bars.bars import RAW_SCHEMA
from mlengine.core.bars.cleaning import clean_panel

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def main() -> None:
    bars = random_bars("S", rows=1500).match_to_schema(RAW_SCHEMA, missing_columns="insert")
    panel = pl.concat(bars.with_columns(pl.lit(f"S{i:03}").alias("symbol")) for i in range(200))
    references = []
    before = 0.0
    for turn in range(24):
        one = clean_panel(panel, interval="1d", now=NOW)[f"S{turn:03}"]
        references.append((one.frame, one.arrays))
        if turn == 3:
            before = memory_mb()
    print(memory_mb() - before)


if __name__ == "__main__":
    main()
