"""A batch of 500 beside an earlier version: `python -m benchmarks.beside` prints a table.

CPU milliseconds of master and workers for the first batch of a server, by turns with those of the
commit, whose tree is taken from git. Each has versions of its own, trained on the same bars. Once
the database is new, once it has all that the version records but for one new bar each, and once
that bar comes while the server runs, as it does every day. `--clients` asks for batches by several
clients at once instead, all bars and features in memory. The rate limit is on, as it is by default,
but refuses nobody. The ratio is that of the medians, with an interval of 95 % by a bootstrap of the
rounds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from benchmarks.load import Client, Measured, by_threads
from benchmarks.serving import BATCH, head, limit_on, one_batch, queue_server, row, say_where
from benchmarks.stack import ROOT, SYMBOLS, Stack, serving, stack

from mlengine import config

FIRST_VERSION = "0623e9e"
# So that both workers have answered.
_BATCHES_BEFORE = 12
_CLIENTS = (1, 3, 8, 16)


@dataclass(frozen=True)
class Tree:
    """The project as it stands in a folder, with artifacts of its own."""

    name: str
    root: Path
    environ: Mapping[str, str]

    def run(self, command: str, **changed: str) -> None:
        environ = {**self.environ, "LOG_LEVEL": "WARNING", **changed}
        subprocess.run(
            [sys.executable, "-m", "mlengine", command],
            cwd=self.root,
            env=config.environment_for_child({**environ, "PYTHONPATH": str(self.root / "src")}),
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def first_batch(self, database: str, **changed: str) -> float:
        """CPU milliseconds of the first batch of a server."""
        environ = {**self.environ, "AUDIT_DATABASE_URL": database, **changed}
        with serving("wsgi:app", "/health", environ, root=self.root) as server:
            return one_batch(server, Client(server.port), BATCH).cpu_ms

    def next_bar(self, database: str, made: Stack) -> float:
        """CPU milliseconds of the batch after one new bar each, of a server that has answered."""
        soon = dict.fromkeys(("MARKET_DATA_CACHE_SECONDS", "MARKET_DATA_RECHECK_SECONDS"), "1")
        environ = {**self.environ, "AUDIT_DATABASE_URL": database, **soon}
        with (
            _without_newest_bar(made) as add_it,
            serving("wsgi:app", "/health", environ, root=self.root) as server,
        ):
            for _ in range(_BATCHES_BEFORE):
                assert Client(server.port).post("/predict/batch", BATCH)[0] == 200
            time.sleep(1.5)
            add_it()
            return one_batch(server, Client(server.port), BATCH).cpu_ms

    def at_once(self, database: str, *, seconds: float) -> dict[int, Measured]:
        """Batches in memory, by how many clients ask at once."""
        environ = {**self.environ, "AUDIT_DATABASE_URL": database}
        asked, measured = [("POST", "/predict/batch", BATCH)], dict[int, Measured]()
        with serving("wsgi:app", "/health", environ, root=self.root) as server:
            by_threads(server.port, asked, connections=4, seconds=2)
            for clients in _CLIENTS:
                found = by_threads(server.port, asked, connections=clients, seconds=seconds)
                assert not found.failed
                measured[clients] = found
        return measured


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--commit", default=FIRST_VERSION)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--clients", action="store_true", help="batches of several clients at once")
    asked.add_argument("--seconds", type=float, default=4.0, help="of each round with clients")
    options = asked.parse_args()
    say_where()
    print()
    with stack() as made, queue_server() as queue, _earlier(made, options.commit) as earlier:
        this_one, limit = Tree("this one", ROOT, made.environ), limit_on(queue)
        trees = [replace(each, environ={**each.environ, **limit}) for each in (this_one, earlier)]
        if options.clients:
            several_clients(made, trees, rounds=options.rounds, seconds=options.seconds)
            return 0
        cold: dict[str, list[float]] = {each.name: [] for each in trees}
        new_bar: dict[str, list[float]] = {each.name: [] for each in trees}
        running: dict[str, list[float]] = {each.name: [] for each in trees}
        for number in range(options.rounds):
            for tree in trees:
                database = _new_database(made, tree, f"{number}")
                with _without_newest_bar(made):
                    # The next server asks for bars again at once.
                    took = tree.first_batch(database, MARKET_DATA_CACHE_SECONDS="0")
                cold[tree.name].append(took)
                new_bar[tree.name].append(tree.first_batch(database))
                running[tree.name].append(
                    tree.next_bar(_new_database(made, tree, f"{number}-running"), made)
                )
    head("CPU ms of a batch of 500, median (least)", *cold, "ratio (95 %)")
    _print("first of a server, nothing recorded", cold)
    _print("first of a server, one new bar each", new_bar)
    _print("of a running server, one new bar each", running)
    return 0


def several_clients(made: Stack, trees: Sequence[Tree], *, rounds: int, seconds: float) -> None:
    """By turns, each round with a new database."""
    found: dict[str, list[dict[int, Measured]]] = {each.name: [] for each in trees}
    for number in range(rounds):
        for tree in trees if number % 2 else trees[::-1]:
            database = _new_database(made, tree, f"{number}-clients")
            found[tree.name].append(tree.at_once(database, seconds=seconds))
    names = [f"{name}, {what}" for what in ("predictions/s", "p99 ms") for name in found]
    head("clients at once", *names, "ratio of the rates (95 %)")
    for clients in _CLIENTS:
        rates = [
            [each[clients].per_second * len(SYMBOLS) for each in turns] for turns in found.values()
        ]
        slowest = [[each[clients].p99_ms for each in turns] for turns in found.values()]
        cells = [f"{statistics.median(each):,.0f}" for each in (*rates, *slowest)]
        row(clients, *cells, _ratio(*rates))


def _print(name: str, costs: Mapping[str, Sequence[float]]) -> None:
    medians = (f"{statistics.median(each):.0f} ({min(each):.0f})" for each in costs.values())
    row(name, *medians, _ratio(*costs.values()))


def _ratio(ours: Sequence[float], earlier: Sequence[float]) -> str:
    rounds = np.random.default_rng(0).integers(len(ours), size=(10_000, len(ours)))
    pairs = np.median(np.array([ours, earlier])[:, rounds], axis=2)
    low, high = np.quantile(pairs[0] / pairs[1], (0.025, 0.975))
    return f"{statistics.median(ours) / statistics.median(earlier):.2f} ({low:.2f} to {high:.2f})"


def _new_database(made: Stack, tree: Tree, name: str) -> str:
    database = f"sqlite:///{made.folder}/{name}-{tree.name}.db".replace(" ", "-")
    tree.run("migrate", AUDIT_DATABASE_URL=database)
    return database


@contextmanager
def _without_newest_bar(made: Stack) -> Iterator[Callable[[], None]]:
    """The files as they were a bar ago, until the function is called or the block ends."""
    panel = made.folder / "bars" / "panel.parquet"
    whole, at = pl.read_parquet(panel), pl.col("timestamp")
    whole.filter(at < at.max().over("symbol")).write_parquet(panel)
    try:
        yield lambda: whole.write_parquet(panel)
    finally:
        whole.write_parquet(panel)


@contextmanager
def _earlier(made: Stack, commit: str) -> Iterator[Tree]:
    """The tree of a commit, with a version that it has trained itself."""
    with tempfile.TemporaryDirectory(prefix="mlengine-bench-") as folder:
        root = Path(folder) / "tree"
        root.mkdir()
        packed = subprocess.run(
            ["git", "archive", commit], cwd=ROOT, check=True, capture_output=True
        ).stdout
        subprocess.run(["tar", "x"], cwd=root, input=packed, check=True)
        environ = {**made.environ, "ARTIFACTS_DIR": str(Path(folder) / "artifacts")}
        tree = Tree(commit, root, environ)
        tree.run("train", TRAIN_ACTIVATE="always")
        yield tree


if __name__ == "__main__":
    sys.exit(main())
