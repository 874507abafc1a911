"""`/predict` on PostgreSQL against SQLite: `python -m benchmarks.databases`.

Two platforms of the same models and bars, under gunicorn as it is configured, are asked by turns: a
busy machine slows both alike. The server is one of its own on a socket, as it is delivered but that
`--no-fsync` spares it the disk, as SQLite's `synchronous=NORMAL` does. It runs on the same machine,
so that its own work is in the ratio; CPU per request is that of the web workers alone.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.load import Client, Request, gets, rotate
from benchmarks.serving import BATCH, FIRST, head, row, say_where
from benchmarks.stack import SAMPLE, SYMBOLS, Server, serving, stack
from tests.postgres import running_server, what_is_missing

from mlengine.bootstrap.platform import build_platform
from mlengine.config import Settings

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
PREDICT = gets([f"/predict?symbol={symbol}" for symbol in SAMPLE])
BATCHES: list[Request] = [("POST", "/predict/batch", BATCH)]


@dataclass(frozen=True)
class Turn:
    """`rate` in requests a second, `cpu_ms` of the web workers a request."""

    rate: float
    cpu_ms: float
    failed: int


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--seconds", type=float, default=4.0)
    asked.add_argument("--rounds", type=int, default=7)
    asked.add_argument("--connections", type=int, nargs="*", default=[8, 32])
    asked.add_argument("--no-fsync", action="store_true")
    options = asked.parse_args()
    if (missing := what_is_missing()) is not None:
        print(missing)
        return 1
    say_where()
    with ExitStack() as opened:
        enter = opened.enter_context
        made = enter(stack())
        server = enter(running_server(*([] if options.no_fsync else ["-c fsync=on"])))
        environ = _copy(made.folder, made.environ, server.url)
        servers = {
            SQLITE: enter(serving("wsgi:app", FIRST, made.environ)),
            POSTGRESQL: enter(serving("wsgi:app", FIRST, environ)),
        }
        for connections in options.connections:
            title = f"GET /predict, {connections} connections"
            _compare(title, servers, PREDICT, connections, options.rounds, options.seconds)
        title = f"POST /predict/batch of {len(SYMBOLS)} symbols, 2 connections"
        _compare(title, servers, BATCHES, 2, options.rounds, options.seconds)
    return 0


def _copy(folder: Path, environ: dict[str, str], url: str) -> dict[str, str]:
    """The same platform in a folder of its own, on the database at `url`."""
    other = folder / "other"
    shutil.copytree(folder / "artifacts" / "models", other / "artifacts" / "models")
    copied = {**environ, "ARTIFACTS_DIR": str(other / "artifacts"), "AUDIT_DATABASE_URL": url}
    platform = build_platform(Settings.from_env(copied))
    platform.control.migrate_and_backfill()
    platform.models.activate("v1", actor="bench", reason="", now=datetime.now(UTC))
    platform.control.database.dispose()
    return copied


def _compare(
    title: str,
    servers: dict[str, Server],
    requests: list[Request],
    connections: int,
    rounds: int,
    seconds: float,
) -> None:
    for server in servers.values():
        Client(server.port).post("/predict/batch", BATCH)
        rotate(server.port, requests, connections=connections, seconds=2)
    turns = [
        {name: _turn(each, requests, connections, seconds) for name, each in servers.items()}
        for _ in range(rounds)
    ]
    print(f"\n{title}\n")
    head("database", "req/s", "CPU ms a request", "failed")
    for name in servers:
        of = [turn[name] for turn in turns]
        rate = statistics.median(each.rate for each in of)
        cpu = statistics.median(each.cpu_ms for each in of)
        row(name, f"{rate:,.1f}", f"{cpu:.3f}", sum(each.failed for each in of))
    ratios = sorted(turn[POSTGRESQL].rate / turn[SQLITE].rate for turn in turns)
    print(
        f"\n{POSTGRESQL} has {statistics.median(ratios):.2f} of the rate of {SQLITE}"
        f" (from {ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def _turn(server: Server, requests: list[Request], connections: int, seconds: float) -> Turn:
    used = server.cpu_seconds()
    measured = rotate(server.port, requests, connections=connections, seconds=seconds)
    used = server.cpu_seconds() - used
    time.sleep(0.1)
    return Turn(measured.per_second, 1e3 * used / max(measured.requests, 1), measured.failed)


if __name__ == "__main__":
    sys.exit(main())
