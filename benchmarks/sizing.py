"""What a universe takes by day and by minute: `python -m benchmarks.sizing`.

Nothing is run: what one prediction, one bar and one row was measured to take (the commands stand in
the list below) times how many there are. One model line, every symbol scored once a bar; bars by
the minute in sessions of 390 minutes, or around the clock.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

from benchmarks.serving import head, row

# Bytes: `python -m benchmarks.universe --symbols 500 --batch 500 --bars 40`, PostgreSQL.
PREDICTION_BYTES, OF_WHICH_BAR = 1_991, 139
# Bytes: `python -m benchmarks.archive`.
ARCHIVED_BYTES = 432
# CPU seconds for 10,000 symbols: `python -m benchmarks.universe`; a worker's, its server's, which
# has more to do for the first bar.
FIRST_BAR, NEXT_BAR, SERVER_FIRST_BAR, SERVER_NEXT_BAR = 2.2, 2.1, 2.2, 0.6
# Bytes of a bar in the memory of a web worker, and of a feature of a row that a training holds.
BAR_BYTES, FEATURE_BYTES, BIN_BYTES = 56, 8, 1
# What SQLAlchemy's pool of a process keeps open, and opens at most; and one that asks whether a
# server that was down is back.
KEPT, AT_MOST = 5, 15 + 1
SYMBOLS = (500, 5_000, 10_000)
GIGABYTE = 1e9


@dataclass(frozen=True)
class Rhythm:
    """How many bars there are; `dates` a year, and what a web worker keeps of a symbol."""

    name: str
    bars_a_day: int
    dates: int
    kept_bars: int


RHYTHMS = (
    Rhythm("day", 1, 252, 500),
    Rhythm("minute, session", 390, 252, 500),
    Rhythm("minute, always", 1_440, 365, 500),
)


def rows_of_a_universe(symbols: int, rhythm: Rhythm) -> tuple[object, ...]:
    """One row of the first table."""
    rows = symbols * rhythm.bars_a_day
    day = rows * PREDICTION_BYTES / GIGABYTE
    year = rows * rhythm.dates * ARCHIVED_BYTES / GIGABYTE
    bar = symbols / 10_000
    return (
        f"{symbols:,}",
        rhythm.name,
        f"{rows:,}",
        _gigabytes(day),
        _gigabytes(30 * day),
        _gigabytes(year),
        f"{NEXT_BAR * bar:.1f} + {SERVER_NEXT_BAR * bar:.1f}",
        f"{symbols * rhythm.kept_bars * BAR_BYTES / 1e6:,.0f} MB",
    )


def rows_of_a_training(symbols: int, bars: int, features: int) -> tuple[object, ...]:
    """One row of the table of trainings."""
    cells = symbols * bars * features
    return (
        f"{symbols:,} x {bars:,} x {features}",
        _gigabytes(cells * FEATURE_BYTES / GIGABYTE),
        _gigabytes(cells * BIN_BYTES / GIGABYTE),
    )


def connections(web_hosts: int, web_workers: int, workers: int) -> tuple[int, int]:
    """What all processes keep open, and open at most.

    A worker has a process for itself, one for its training, one that updates the monitoring and one
    that scores signals.
    """
    processes = web_hosts * web_workers + 4 * workers
    return processes * KEPT, processes * AT_MOST


def _gigabytes(size: float) -> str:
    if size < 0.1:
        return f"{1_000 * size:.0f} MB"
    return f"{size:,.0f} GB" if size >= 10 else f"{size:.1f} GB"


def main(arguments: list[str] | None = None) -> int:
    """Print the tables."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args(arguments)
    head(
        *("symbols", "bars", "predictions a day", "PostgreSQL a day", "30 days of it"),
        *("archive a year", "CPU s a bar, worker + server", "bars in memory"),
    )
    for rhythm in RHYTHMS:
        for symbols in SYMBOLS:
            row(*rows_of_a_universe(symbols, rhythm))
    print()
    head("training", "features", "binned")
    for symbols in SYMBOLS:
        row(*rows_of_a_training(symbols, 2_520, 158))
    print()
    head("web hosts", "web workers each", "workers", "connections kept", "at most")
    for hosts in ((1, 2, 1), (2, 2, 3), (2, 8, 3), (4, 8, 8)):
        row(*hosts, *connections(*hosts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
