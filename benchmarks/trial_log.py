"""Trials that add up over runs: one line of JSON each in a file, by cell and seed.

A run that is stopped goes on where it was, and seeds that are done are not drawn again.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

Result = dict[str, Any]


@dataclass(frozen=True)
class TrialLog:
    """`path` is None where nothing is kept; `done` are the results by cell and seed."""

    path: Path | None
    done: dict[str, dict[int, Result]]

    @classmethod
    def at(cls, path: Path | None) -> TrialLog:
        """With what the file has; a last line that was cut off is left out."""
        done = defaultdict[str, dict[int, Result]](dict)
        if path is not None and path.exists():
            text = path.read_text()
            if text and not text.endswith("\n"):
                path.write_text(f"{text}\n")
            for line in text.splitlines():
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                done[row["cell"]][row["seed"]] = row["result"]
        return cls(path, done)

    def results(
        self, cell: str, seeds: Sequence[int], trial: Callable[[int], Result]
    ) -> list[Result]:
        """Of every seed, by `trial` where it isn't in the file yet."""
        found = self.done[cell]
        for seed in seeds:
            if seed not in found:
                found[seed] = trial(seed)
                self._keep({"cell": cell, "seed": seed, "result": found[seed]})
        return [found[seed] for seed in seeds]

    def _keep(self, row: Result) -> None:
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--trials`, `--seed` and `--log`."""
    parser.add_argument("--trials", type=int, help="how many seeds")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--log", type=Path, help="file of trials that are done; more are added")


def share(count: int, of: int) -> str:
    """With its 95 % interval (Clopper and Pearson 1934).

    >>> share(5, 100)
    '5.0% (5/100: 1.6-11.3)'
    """
    interval = binomtest(count, of).proportion_ci(0.95)
    ends = f"{100 * interval.low:.1f}-{100 * interval.high:.1f}"
    return f"{count / of:.1%} ({count}/{of}: {ends})"
