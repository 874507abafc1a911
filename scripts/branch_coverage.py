"""Asserts the branch coverage of core, services and stores, from the data of the last run."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from coverage import Coverage

ROOMS = ("core", "services", "stores")
REQUIRED_PERCENT = 95.0


def main() -> int:
    """Print one line a room; 1 when a room has less than it must."""
    coverage = Coverage()
    coverage.load()
    too_low = False
    for room in ROOMS:
        covered, branches = _branches(coverage, room)
        percent = 100.0 * covered / branches if branches else 0.0
        too_low |= percent < REQUIRED_PERCENT
        print(f"branches covered in {room}: {covered} of {branches}, {percent:.1f} %")
    if too_low:
        print(f"each must reach {REQUIRED_PERCENT:g} %", file=sys.stderr)
    return int(too_low)


def _branches(coverage: Coverage, room: str) -> tuple[int, int]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        coverage.json_report(include=[f"*/mlengine/{room}/*"], outfile=str(report))
        totals = json.loads(report.read_text())["totals"]
    return totals["covered_branches"], totals["num_branches"]


if __name__ == "__main__":
    sys.exit(main())
