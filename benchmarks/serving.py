"""What serving costs: `python -m benchmarks.serving` starts the real stack and prints tables.

Rates are compared with an empty Flask route under gunicorn's own `gthread`, in rounds by turns,
since a busy machine slows all alike. CPU per request is that of master and workers; it hardly moves
with other load. `--seconds` is the length of one round, `--steady` that of the calm load.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
from benchmarks.load import GENERATOR, Client, Measured, Request, by_threads, gets, rotate
from benchmarks.stack import SAMPLE, SYMBOLS, Server, Stack, serving, stack
from flask import Flask
from werkzeug.test import create_environ

from mlengine.stores.database.migrate import migrate
from mlengine.stores.queue.server import QueueServer, find_binary, resolve_url, to_limits_uri
from mlengine.web.http import limits

FIRST = f"/predict?symbol={SAMPLE[0]}"
BARE = gets(["/bare"])
PREDICT = gets([f"/predict?symbol={symbol}" for symbol in SAMPLE])
FIFTY = gets([f"/predict?symbol={symbol}" for symbol in SYMBOLS[:50]])
ALL = gets([f"/predict?symbol={symbol}" for symbol in SYMBOLS])
BATCH = orjson.dumps({"symbols": SYMBOLS})
GTHREAD = ("-k", "gthread")
CLASSES: Mapping[str, tuple[str, ...]] = {
    "configured": (),
    "gthread of gunicorn, 4 threads": GTHREAD,
    "gthread of gunicorn, 2 threads": ("-k", "gthread", "--threads", "2"),
    "sync": ("-k", "sync", "--threads", "1"),
}


@dataclass(frozen=True)
class Round:
    measured: Measured
    cpu_us: float


@dataclass(frozen=True)
class Batch:
    """What one took: on the clock, and of the processors of master and workers."""

    ms: float
    cpu_ms: float


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--seconds", type=float, default=4.0)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--steady", type=float, default=60.0)
    asked.add_argument("--single", action="store_true", help="single predictions alone")
    asked.add_argument("--classes", action="store_true", help="also the other worker classes")
    options = asked.parse_args()
    say_where()
    with stack() as made:
        for name, arguments in CLASSES.items() if options.classes else [("configured", ())]:
            single(made, name, arguments, rounds=options.rounds, seconds=options.seconds)
        if options.single:
            return 0
        batches(made, seconds=options.seconds)
        limiter()
        starts_and_memory(made)
        steady(made, seconds=options.steady)
    return 0


def single(
    made: Stack, name: str, arguments: Sequence[str], *, rounds: int, seconds: float
) -> None:
    """One prediction a request, without and with the limit, by turns with the bare route."""
    print(f"\nGET /predict, {name}: 8 connections, audit on, {len(SAMPLE)} symbols")
    print("The limit is so high that it refuses nobody; Valkey counts, on a unix socket.\n")
    with ExitStack() as open_servers:
        enter = open_servers.enter_context
        limited = {**made.environ, **limit_on(enter(queue_server()))}
        servers = {
            "bare Flask JSON": enter(
                serving("benchmarks.bare:app", "/bare", made.environ, *GTHREAD)
            ),
            "/predict, no limit": enter(serving("wsgi:app", FIRST, made.environ, *arguments)),
            "/predict, limit on": enter(serving("wsgi:app", FIRST, limited, *arguments)),
        }
        wanted = dict(zip(servers, (BARE, PREDICT, PREDICT), strict=True))
        for label, server in servers.items():
            rotate(server.port, wanted[label], connections=8, seconds=2)
        turns = [
            {label: measure(server, wanted[label], seconds) for label, server in servers.items()}
            for _ in range(rounds)
        ]
    head("route", "req/s", "p50 ms", "p99 ms", "CPU µs a request", "failed")
    for label in servers:
        of = [turn[label] for turn in turns]
        row(
            label,
            f"{median(r.measured.per_second for r in of):,.0f}",
            f"{median(r.measured.p50_ms for r in of):.2f}",
            f"{median(r.measured.p99_ms for r in of):.2f}",
            f"{median(r.cpu_us for r in of):.0f}",
            sum(r.measured.failed for r in of),
        )
    bare, unlimited, with_limit = servers
    print()
    for dividend, divisor in ((unlimited, bare), (with_limit, bare), (with_limit, unlimited)):
        ratios = sorted(
            turn[dividend].measured.per_second / turn[divisor].measured.per_second for turn in turns
        )
        print(
            f"{dividend} against {divisor}: {median(ratios):.2f} of its req/s"
            f" (from {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


def batches(made: Stack, *, seconds: float) -> None:
    """500 symbols a request: all at hand, as of days that nobody asked for, new bars, no bars."""
    print(f"\nPOST /predict/batch of {len(SYMBOLS)} symbols, audited\n")
    days = [datetime.now(UTC).date() - timedelta(days=back) for back in range(2, 12)]
    cold = []
    for start in range(11):
        # A prediction would have one of the workers read the file before the batch comes, and in a
        # database that is not new the windows and vectors are stored already.
        database = f"sqlite:///{made.folder}/cold{start}.db"
        migrate(database)
        environ = {**made.environ, "AUDIT_DATABASE_URL": database}
        with serving("wsgi:app", "/health", environ) as server:
            cold.append(one_batch(server, Client(server.port), BATCH))
    new = [_one_new_bar(made, f"sqlite:///{made.folder}/new{start}.db") for start in range(5)]
    with serving("wsgi:app", FIRST, made.environ) as server:
        client = Client(server.port)
        warm(server)
        bodies = [orjson.dumps({"symbols": SYMBOLS, "as_of": str(day)}) for day in days]
        took = [one_batch(server, client, body) for body in bodies]
        client.close()
        asked = [("POST", "/predict/batch", BATCH)]
        before = server.cpu_seconds()
        cached = [by_threads(server.port, asked, connections=3, seconds=seconds) for _ in range(5)]
        used = server.cpu_seconds() - before
    head("what is at hand", "predictions/s", "median ms", "best ms", "CPU ms a batch")
    rate = median(each.per_second for each in cached) * len(SYMBOLS)
    p50, cpu = median(each.p50_ms for each in cached), used / sum(c.requests for c in cached) * 1e3
    row("bars and features, 3 connections", f"{rate:,.0f}", f"{p50:.1f}", "", f"{cpu:.0f}")
    _batch_row("bars (features, windows, vectors are new)", took)
    _batch_row("one new bar each, bars from the store", new)
    _batch_row("nothing: bars are read from files, too", cold)


def _batch_row(name: str, batches: Sequence[Batch]) -> None:
    took, cpu = [each.ms for each in batches], median(each.cpu_ms for each in batches)
    row(name, "", f"{median(took):.1f}", f"{min(took):.1f}", f"{cpu:.0f}")


def _one_new_bar(made: Stack, database: str) -> Batch:
    """The first batch of a server whose store has all bars but the newest one of each symbol."""
    migrate(database)
    environ = {**made.environ, "AUDIT_DATABASE_URL": database}
    panel = made.folder / "bars" / "panel.parquet"
    whole = pl.read_parquet(panel)
    at = pl.col("timestamp")
    whole.filter(at < at.max().over("symbol")).write_parquet(panel)
    try:
        # Bars that no server holds for new are asked for again at once.
        with serving(
            "wsgi:app", "/health", {**environ, "MARKET_DATA_CACHE_SECONDS": "0"}
        ) as server:
            one_batch(server, Client(server.port), BATCH)
    finally:
        whole.write_parquet(panel)
    with serving("wsgi:app", "/health", environ) as server:
        return one_batch(server, Client(server.port), BATCH)


def one_batch(server: Server, client: Client, body: bytes) -> Batch:
    server.wait_until_calm()
    begun, before = time.perf_counter(), server.cpu_seconds()
    assert client.post("/predict/batch", body)[0] == 200
    return Batch((time.perf_counter() - begun) * 1e3, (server.cpu_seconds() - before) * 1e3)


def limiter() -> None:
    """Flask-Limiter itself, in one process by turns."""
    with queue_server() as url:
        plain, limited = _empty(None), _empty(to_limits_uri(url))
        turns = [(_microseconds(plain), _microseconds(limited)) for _ in range(15)]
    cost = min(b for _, b in turns) - min(a for a, _ in turns)
    print(f"\nFlask-Limiter's own cost, Valkey on a unix socket, hiredis: {cost:.0f} µs a request")


def starts_and_memory(made: Stack) -> None:
    begun = []
    for _ in range(3):
        with serving("wsgi:app", FIRST, made.environ) as server:
            begun.append(server.first_answer_seconds)
            warm(server)
            memory = server.pss_mb()
    print(f"\nstart of the server to its first prediction: {min(begun):.2f} s (best of 3)")
    print(f"master and its workers, {len(ALL)} symbols held: {memory:.0f} MB PSS")


def steady(made: Stack, *, seconds: float) -> None:
    """50 requests a second: does memory grow, and how long does the slowest percent take."""
    with serving("wsgi:app", FIRST, made.environ) as server:
        warm(server)
        parts, memory, parts_wanted = [], [server.pss_mb()], max(3, round(seconds / 10))
        for _ in range(parts_wanted):
            parts.append(
                by_threads(
                    server.port,
                    ALL,
                    connections=4,
                    seconds=seconds / parts_wanted,
                    per_second=50,
                )
            )
            memory.append(server.pss_mb())
    minutes = np.arange(len(memory)) * seconds / parts_wanted / 60
    slope = float(np.polyfit(minutes[1:], memory[1:], 1)[0])
    print(f"\n50 requests a second for {seconds:.0f} s, {len(ALL)} symbols by turns\n")
    head("requests", "failed", "p50 ms", "p99 ms (worst part)", "PSS MB", "slope MB a minute")
    row(
        sum(part.requests for part in parts),
        sum(part.failed for part in parts),
        f"{median(part.p50_ms for part in parts):.2f}",
        f"{median(p.p99_ms for p in parts):.2f} ({max(p.p99_ms for p in parts):.2f})",
        f"{memory[-1]:.0f}",
        f"{slope:.2f}",
    )


def measure(server: Server, requests: Sequence[Request], seconds: float) -> Round:
    before = server.cpu_seconds()
    measured = rotate(server.port, requests, connections=8, seconds=seconds)
    return Round(measured, (server.cpu_seconds() - before) / max(1, measured.requests) * 1e6)


def warm(server: Server) -> None:
    """Let every worker fetch all bars and compute all features."""
    for _ in range(4):
        by_threads(server.port, [("POST", "/predict/batch", BATCH)], connections=8, seconds=2)


def limit_on(queue: str) -> dict[str, str]:
    """The limit as it is by default, but so high that it refuses nobody."""
    return {"REDIS_URL": queue, "RATE_LIMIT_REQUESTS": "100000000"}


@contextmanager
def queue_server() -> Iterator[str]:
    """Its address: on a unix socket."""
    with tempfile.TemporaryDirectory(prefix="mlq-") as name:
        artifacts = Path(name)
        process = QueueServer(artifacts, find_binary(), runtime_dir=artifacts).start()
        try:
            yield resolve_url(None, artifacts)
        finally:
            process.kill()
            process.wait()


def _empty(storage_url: str | None) -> Flask:
    app = Flask("empty")
    app.add_url_rule("/", view_func=lambda: "")
    requests = 100_000_000 if storage_url else 0
    limits.init_app(
        app,
        requests=requests,
        window_seconds=60,
        storage_url=storage_url,
        record=lambda *_: None,
        exempt=(),
    )
    return app


def _microseconds(app: Flask, count: int = 300) -> float:
    environs = [create_environ("/") for _ in range(count)]
    begun = time.perf_counter()
    for environ in environs:
        list(app.wsgi_app(environ, _ignored))
    return (time.perf_counter() - begun) / count * 1e6


def _ignored(*_: object) -> Callable[[bytes], Any]:
    return lambda _written: None


def median(values: Any) -> float:
    return statistics.median(values)


def head(*names: str) -> None:
    row(*names)
    print("|" + " --- |" * len(names))


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def say_where() -> None:
    libraries = ("flask", "gunicorn", "lightgbm", "polars", "orjson", "sqlalchemy")
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    )
    print(", ".join(f"{name} {version(name)}" for name in libraries) + f"; load by {GENERATOR}")


if __name__ == "__main__":
    sys.exit(main())
