"""Asserts the branch coverage of core, services and stores, from the report of the last run."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPORT = Path(".coverage.json")
ROOMS = ("core", "services", "stores")
REQUIRED_PERCENT = 95.0


def main() -> int:
    """Print one line a room; 1 when a room has less than it must."""
    files = json.loads(REPORT.read_text())["files"]
    too_low = False
    for room in ROOMS:
        covered, branches = _branches(files, f"src/mlengine/{room}/")
        percent = 100.0 * covered / branches if branches else 0.0
        too_low |= percent < REQUIRED_PERCENT
        print(f"branches covered in {room}: {covered} of {branches}, {percent:.1f} %")
    if too_low:
        for path, missing in _worst(files):
            print(f"{missing:4d} missing in {path}", file=sys.stderr)
        print(f"each must reach {REQUIRED_PERCENT:g} %", file=sys.stderr)
    return int(too_low)


def _branches(files: Mapping[str, Any], folder: str) -> tuple[int, int]:
    summaries = [facts["summary"] for path, facts in files.items() if folder in path]
    covered = sum(summary["covered_branches"] for summary in summaries)
    return covered, covered + sum(summary["missing_branches"] for summary in summaries)


def _worst(files: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The twenty files with most branches that nothing took."""
    missing = {
        path: facts["summary"]["missing_branches"]
        for path, facts in files.items()
        if any(f"src/mlengine/{room}/" in path for room in ROOMS)
    }
    return sorted(missing.items(), key=lambda each: -each[1])[:20]


if __name__ == "__main__":
    sys.exit(main())
