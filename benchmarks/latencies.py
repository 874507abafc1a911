"""`/monitoring/latency` beside a load generator: `python -m benchmarks.latencies`.

Predictions from memory, answers of the framework, and predictions that wait 20 to 220 ms for the
upstream, on two real web workers. What a request waits in the sockets of client and server, only
the load generator sees.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import nan
from pathlib import Path

import polars as pl
from benchmarks.load import GENERATOR, Client, Measured, by_threads, gets, rotate
from benchmarks.serving import head, row, say_where
from tests.platforms import SYMBOLS, make_platform
from tests.serving import Server, serving
from tests.upstream import Fault, LoopbackUpstream

from mlengine.core.telemetry.latency_sketch import quantile_ms
from mlengine.core.telemetry.latency_slots import TOTAL, StageSketch, merge
from mlengine.services.telemetry.latency_recorder import FLUSH_SECONDS
from mlengine.stores.database.engine import open_database
from mlengine.stores.telemetry.latency_table import LatencyTable

PREDICT = [f"/predict?symbol={symbol}" for symbol in SYMBOLS]
FEATURES = [f"/features?symbol={symbol}&limit=50" for symbol in SYMBOLS]
QUANTILES = ("p50_ms", "p90_ms", "p99_ms")


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--seconds", type=float, default=8.0)
    seconds = asked.parse_args().seconds
    say_where()
    print(f"load by {GENERATOR}; p50, p90, p99 in ms, and the server's against the generator's\n")
    head("what", "connections", "requests", "generator", "server", "ratio")
    for connections in (1, 8):
        _compare("/predict from memory", PREDICT, connections, seconds)
    _compare("/features", FEATURES, 4, seconds)
    _compare_slow(4, seconds)
    return 0


def _compare(what: str, paths: list[str], connections: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="mlengine-bench-") as folder:
        make_platform(Path(folder))
        environ = {"MARKET_DATA_CACHE_SECONDS": "3600"}
        with serving(Path(folder), ready=PREDICT[0], **environ) as server:
            _warm_up(server, paths)
            before = _counted(Path(folder), paths[0])
            measured = rotate(server.port, gets(paths), connections=connections, seconds=seconds)
            _row(what, connections, measured, before, _counted(Path(folder), paths[0]))


def _compare_slow(connections: int, seconds: float) -> None:
    """Each question is one to the upstream."""
    with tempfile.TemporaryDirectory(prefix="mlengine-bench-") as name, _slow(Path(name)) as url:
        environ = {
            "MARKET_DATA_DIR": "",
            "MARKET_DATA_BASE_URL": url,
            "MARKET_DATA_CACHE_SECONDS": "0",
        }
        with serving(Path(name), ready="/livez", **environ) as server:
            _warm_up(server, PREDICT)
            before = _counted(Path(name), PREDICT[0])
            load = gets(PREDICT)
            measured = by_threads(server.port, load, connections=connections, seconds=seconds)
            told = _counted(Path(name), PREDICT[0])
            _row("/predict, slow upstream", connections, measured, before, told)


@contextmanager
def _slow(folder: Path) -> Iterator[str]:
    make_platform(folder)
    bars = pl.concat([pl.read_parquet(each) for each in sorted((folder / "bars").iterdir())])
    with LoopbackUpstream(bars) as upstream:
        dice, over = random.Random(1), threading.Event()  # noqa: S311 - no secret

        def keep_changing() -> None:
            while not over.wait(0.01):
                upstream.always = Fault(delay_seconds=dice.uniform(0.02, 0.22))

        changing = threading.Thread(target=keep_changing)
        changing.start()
        try:
            yield upstream.url
        finally:
            over.set()
            changing.join()


def _warm_up(server: Server, paths: list[str]) -> None:
    """Both workers have the bars."""
    for _ in range(10):
        for path in paths:
            Client(server.port).get(path)


def _counted(folder: Path, path: str) -> StageSketch:
    """What the table has of a route by all workers, once each has written what it has."""
    threading.Event().wait(FLUSH_SECONDS + 1.5)
    now, hour = datetime.now(UTC), timedelta(hours=1)
    engine = open_database(f"sqlite:///{folder / 'artifacts' / 'audit.db'}")
    slots = LatencyTable(engine).read(since=now - hour, until=now + hour)
    engine.dispose()
    merged = merge(slot.sketches for slot in slots)
    return merged[path.partition("?")[0]].stages[TOTAL]


def _row(
    what: str,
    connections: int,
    measured: Measured,
    before: StageSketch,
    after: StageSketch,
) -> None:
    counts = dict(enumerate((after.counts - before.counts).tolist()))
    counted = sum(counts.values())
    assert abs(counted - measured.requests) <= 2 * connections, (counted, measured.requests)
    by_load = [getattr(measured, name) for name in QUANTILES]
    by_server = [
        quantile_ms(counts, share, longest_ms=after.longest_ms) or nan for share in (0.5, 0.9, 0.99)
    ]
    ratios = [b / a for a, b in zip(by_load, by_server, strict=True)]
    cells = (" / ".join(f"{each:.2f}" for each in each) for each in (by_load, by_server, ratios))
    row(what, connections, measured.requests, *cells)


if __name__ == "__main__":
    sys.exit(main())
