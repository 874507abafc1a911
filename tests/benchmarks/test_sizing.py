"""The tables of docs/operations.md are what the command prints, from what was measured."""

import re
from pathlib import Path

from benchmarks import sizing

ROOT = Path(__file__).parents[2]


def test_the_page_has_the_tables_that_the_command_prints(capsys):
    assert sizing.main([]) == 0
    page = (ROOT / "docs/operations.md").read_text()
    for table in capsys.readouterr().out.strip().split("\n\n"):
        assert table in page, "python -m benchmarks.sizing"


def test_they_rest_on_the_figures_of_the_performance_page():
    page = (ROOT / "docs/performance.md").read_text()
    worker = f"{sizing.FIRST_BAR} | {sizing.NEXT_BAR}"
    server = f"{sizing.SERVER_FIRST_BAR}, {sizing.SERVER_NEXT_BAR}"
    seconds = f"{worker} | {server}"
    assert f"| PostgreSQL | {seconds} | {sizing.PREDICTION_BYTES:,} |" in page
    assert re.search(rf"\b{sizing.ARCHIVED_BYTES}\b", page)


def test_a_universe_twice_as_large_takes_twice_as_much():
    rhythm = sizing.RHYTHMS[1]
    small, large = (sizing.rows_of_a_universe(symbols, rhythm) for symbols in (5_000, 10_000))
    assert (small[2], large[2]) == ("1,950,000", "3,900,000")
    assert sizing.connections(2, 2, 3) == (80, 256)
