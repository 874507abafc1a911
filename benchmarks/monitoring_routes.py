"""What monitoring costs with a long audit: `python -m benchmarks.monitoring_routes`.

A database of a million predictions (200 symbols, 1,000 bars each, five questions a bar), with
latencies of a month and 20,000 events, on SQLite and, where it is installed, on PostgreSQL. Every
route of `/monitoring` and `/metrics` is asked by a process that has answered nothing yet, then
again and again with nothing new.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from benchmarks.serving import head, row, say_where
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, text
from tests.platforms import SYMBOLS, make_platform, settings
from tests.postgres import postgres_server, what_is_missing

from mlengine.app import create_app
from mlengine.bootstrap.platform import Platform, build_platform
from mlengine.core.telemetry.families import HTTP_DURATION, HTTP_REQUESTS
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.services.predictions.prediction_counts import PredictionCounts
from mlengine.services.telemetry.latency_recorder import LatencyRecorder
from mlengine.stores.database.tables import metadata
from mlengine.stores.telemetry.counters import Counters
from mlengine.stores.telemetry.latency_table import LatencyTable

BARS, REPEATS = 1_000, 5
EVENTS = 20_000
WORKERS, DAYS = 8, 30
_DAY = 86_400_000_000
_FIVE_MINUTES = 300_000_000


class Timed(NamedTuple):
    wall_ms: float
    cpu_ms: float
    status: int


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--rows", type=int, default=1_000_000)
    asked.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    asked.add_argument("--no-statistics", action="store_true", help="PostgreSQL without ANALYZE")
    asked.add_argument("--no-update", action="store_true", help="leave out the monitoring update")
    options = asked.parse_args()
    say_where()
    for name, url in _databases(options.database):
        with tempfile.TemporaryDirectory(prefix="mlengine-bench-") as folder, url as address:
            changed = {"AUDIT_DATABASE_URL": address} if address else {}
            fill(Path(folder), changed, options.rows, analyzed=not options.no_statistics)
            print(f"\n{name}: {options.rows:,} predictions")
            if not options.no_update:
                update(Path(folder), changed)
            table(Path(folder), changed)
    return 0


def _databases(wanted: str) -> Iterator[tuple[str, contextmanager[str | None]]]:
    if wanted != "postgresql":
        yield "SQLite", _in_folder()
    if wanted != "sqlite":
        missing = what_is_missing()
        if missing:
            print(missing)
        else:
            yield "PostgreSQL", postgres_server()


@contextmanager
def _in_folder() -> Iterator[None]:
    yield None


def fill(folder: Path, changed: dict[str, str], rows: int, *, analyzed: bool = True) -> None:
    """One real answer, and copies of it."""
    platform = make_platform(folder, **changed)
    if changed:
        platform.models.activate("v1", actor="bench", reason="", now=datetime.now(UTC))
    now = datetime.now(UTC)
    platform.predict.predict(SYMBOLS[0], PredictionRequest("r", now))
    engine = platform.control.database
    if not analyzed and engine.dialect.name != "sqlite":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ALTER SYSTEM SET autovacuum = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
    started = time.perf_counter()
    with engine.begin() as connection:
        symbols = max(rows // (5 * BARS), 1)
        last_bar = int(now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()) * 10**6
        _copy(connection, symbols, last_bar - _DAY)
    with engine.begin() as connection:
        _events(connection, now)
    _latencies(engine, now)
    with engine.begin() as connection:
        if (
            analyzed and connection.dialect.name != "sqlite"
        ):  # as its autovacuum does within a minute
            connection.exec_driver_sql("ANALYZE")
    platform.control.database.dispose()
    print(f"filled in {time.perf_counter() - started:.0f} s")


def _copy(connection: Connection, symbols: int, last_bar: int) -> None:
    """Vectors of each symbol and bar with their windows, and five predictions of each."""
    numbers = _numbers("s", symbols) + _numbers("b", BARS, first=False)
    window = {"bars_hash": "'h' || s || '-' || b", "symbol": "'S' || s"}
    _insert_copies(connection, "bar_windows", window, numbers, "b CROSS JOIN s")
    vector = {
        "id": None,
        "bars_hash": "'h' || s || '-' || b",
        "symbol": "'S' || s",
        "bar_timestamp": f"{last_bar} - CAST({BARS - 1} - b AS BIGINT) * {_DAY}",
    }
    _insert_copies(connection, "feature_vectors", vector, numbers, "b CROSS JOIN s")
    prediction = {
        "seq": None,
        "prediction_id": "'p' || v.id || '-' || s",
        "symbol": "v.symbol",
        "vector_id": "v.id",
        "at": f"v.bar_timestamp + {_DAY} + {_FIVE_MINUTES} * (s + 1)",
        "as_of": f"v.bar_timestamp + {_DAY} + {_FIVE_MINUTES} * (s + 1)",
        "ok": "true",
    }
    source = "(SELECT id, symbol, bar_timestamp FROM feature_vectors ORDER BY id) AS v CROSS JOIN s"
    _insert_copies(connection, "predictions", prediction, _numbers("s", 5), source)


def _numbers(name: str, count: int, *, first: bool = True) -> str:
    """A common table of the numbers below `count`."""
    begins = "WITH RECURSIVE " if first else ", "
    numbers = f"SELECT 0 UNION ALL SELECT {name} + 1 FROM {name} WHERE {name} < {count - 1}"  # noqa: S608
    return f"{begins}{name}({name}) AS ({numbers})"


def _insert_copies(
    connection: Connection, name: str, changed: dict[str, str | None], numbers: str, source: str
) -> None:
    columns = [c.name for c in metadata.tables[name].c if changed.get(c.name, "") is not None]
    values = ", ".join(changed.get(c) or f'one."{c}"' for c in columns)
    names = ", ".join(f'"{c}"' for c in columns)
    connection.execute(
        text(
            f"INSERT INTO {name} ({names}) {numbers} SELECT {values} FROM {source} "  # noqa: S608
            f"CROSS JOIN (SELECT * FROM {name} LIMIT 1) AS one"
        )
    )


def _events(connection: Connection, now: datetime) -> None:
    query = text(
        "INSERT INTO events (kind, at, actor, details) VALUES ('admin_action', :at, :actor, '{}')"
    )
    moment = int(now.timestamp() * 1e6)
    rows = [{"at": moment - n * 60_000_000, "actor": f"key{n % 50}"} for n in range(EVENTS)]
    connection.execute(query, rows[::-1])


def _latencies(engine: Engine, now: datetime) -> None:
    """An hour's row a month back, and the newest two hours by minute and worker."""
    table = LatencyTable(engine)
    counters = Counters()
    for route in ("/predict", "/predict/batch", "/models", "/monitoring/history", "/features"):
        counters.count(HTTP_REQUESTS, route, "GET", "200").add(100)
        sketch = counters.sketch(HTTP_DURATION, route, "GET")
        for n in range(100):
            sketch.observe(1.03**n)
    recorder = LatencyRecorder(counters, PredictionCounts(counters), table, "bench")
    (sketches,) = recorder.minutes(now).values()
    hour = now.replace(minute=0, second=0, microsecond=0)
    table.write("old", {hour - timedelta(hours=n): sketches for n in range(2, 24 * DAYS)})
    table.roll_up(before=now - timedelta(minutes=121))
    minute = now.replace(second=0, microsecond=0)
    for worker in range(WORKERS):
        minutes = {minute - timedelta(minutes=n): sketches for n in range(120)}
        table.write(f"worker{worker}", minutes)


def update(folder: Path, changed: dict[str, str]) -> None:
    """The monitoring update, as the worker's process runs it."""
    for which in ("the first update", "an update with nothing new"):
        platform = build_platform(settings(folder, **changed))
        started = time.perf_counter()
        report = platform.monitoring_updates.run(datetime.now(UTC))
        steps = ", ".join(f"{step.name} {step.seconds:.1f} s" for step in report.steps)
        failures = [step.failure for step in report.steps if step.failure]
        print(f"{which}: {time.perf_counter() - started:.1f} s ({steps}) {failures or ''}")
        platform.control.database.dispose()


def table(folder: Path, changed: dict[str, str]) -> None:
    """On the clock, and in brackets of this process's processor time."""
    head("route", "first, ms", "nothing new, ms", "status")
    for path in _paths(_app(folder, changed)[0]):
        app, platform = _app(folder, changed)
        client = app.test_client()
        platform.loader.active()
        first = _milliseconds(client, path)
        again = [_milliseconds(client, path) for _ in range(REPEATS)]
        wall, cpu = (statistics.median(each[n] for each in again) for n in (0, 1))
        told = f"{first.wall_ms:.0f} ({first.cpu_ms:.0f})", f"{wall:.1f} ({cpu:.1f})"
        row(path, *told, first.status)
        platform.control.database.dispose()


def _app(folder: Path, changed: dict[str, str]) -> tuple[Flask, Platform]:
    platform = build_platform(settings(folder, **changed))
    return create_app(settings(folder, **changed), platform), platform


def _paths(app: Flask) -> list[str]:
    """Every route of monitoring, and what its windows and filters make of it."""
    rules = {rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    routes = sorted(r for r in rules if r.startswith("/monitoring") or r == "/metrics")
    plain = [route for route in routes if "<" not in route]
    return [
        *plain,
        "/monitoring/latency?window=2592000",
        "/monitoring/history?kind=activated&actor=bench",
        "/monitoring/history?actor=nobody&since=2020-01-01",
        "/predictions/recent",
    ]


def _milliseconds(client: FlaskClient, path: str) -> Timed:
    cpu, started = time.process_time(), time.perf_counter()
    answer = client.get(path)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Timed(wall * 1e3, cpu * 1e3, answer.status_code)


if __name__ == "__main__":
    sys.exit(main())
