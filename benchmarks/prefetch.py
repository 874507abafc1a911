"""What a new bar costs the next questions: `python -m benchmarks.prefetch` prints a table.

A real upstream over HTTP, in a process of its own, that takes `--delay` seconds an answer; the
clock is handed in. After each new bar every symbol is asked for once: alone, as if there were no
prefetch, and once the prefetch that the first question began is done. While another runs, a
symbol whose bars are at hand is asked for again and again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from tests.factories import START, random_bars
from tests.published import publish
from tests.upstream import Fault, LoopbackUpstream

from mlengine.bootstrap.platform import Platform, build_platform
from mlengine.config import Settings
from mlengine.core.features import BUILTIN
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.services.predictions.prefetch import NewBarPrefetch
from mlengine.services.predictions.service import PredictService
from mlengine.stores.bars.cache import BarCache

DAY = timedelta(days=1)
BARS = 180
NOW = START + 160 * DAY + timedelta(minutes=1)


def main() -> int:
    read = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    read.add_argument("--symbols", type=int, default=500)
    read.add_argument("--delay", type=float, default=0.02)
    read.add_argument("--upstream", action="store_true")
    asked = read.parse_args()
    symbols = [f"S{number:03d}" for number in range(asked.symbols)]
    if asked.upstream:
        serve(symbols, asked.delay)
        return 0
    print(f"{asked.symbols} symbols, an upstream that takes {asked.delay * 1e3:.0f} ms\n")
    print("| set | questions | p50 ms | p99 ms |\n| --- | --- | --- | --- |")
    with upstream(sys.argv[1:]) as url:
        for name in BUILTIN:
            with tempfile.TemporaryDirectory() as folder:
                measure(engine_on(url, Path(folder), name), name, symbols)
    return 0


def measure(platform: Platform, name: str, symbols: Sequence[str]) -> None:
    """The table's rows of one feature set."""
    first, *others = symbols
    idle = NewBarPrefetch(
        replace(platform.bars, cache=BarCache()),
        platform.loader,
        platform.predict.vector_cache,
        time.time,
    )
    batch(platform, symbols, NOW)
    alone = replace(platform.predict, prefetch=idle)
    row(name, "each alone after a bar", [ask(alone, each, NOW + DAY) for each in symbols])
    calm = [ask(platform.predict, first, NOW + DAY) for _ in range(500)]
    row(name, "of bars at hand", calm)
    begun = time.perf_counter()
    row(name, "the first after a bar", [ask(platform.predict, first, NOW + 2 * DAY)])
    meanwhile = []
    while not platform.predict.prefetch.wait_until_idle(within_seconds=0):
        meanwhile.append(ask(platform.predict, first, NOW + 2 * DAY))
    took = time.perf_counter() - begun
    row(name, f"of bars at hand, while the others are filled ({took:.1f} s)", meanwhile)
    filled = [ask(platform.predict, each, NOW + 2 * DAY) for each in others]
    row(name, "of the others, once they are filled", filled)


def ask(predict: PredictService, symbol: str, now: datetime) -> float:
    """Milliseconds of one audited prediction."""
    begun = time.perf_counter()
    predict.predict(
        symbol,
        PredictionRequest(request_id="bench", now=now),
    )
    return (time.perf_counter() - begun) * 1e3


def batch(platform: Platform, symbols: Sequence[str], now: datetime) -> None:
    platform.predict.predict_batch(
        symbols,
        PredictionRequest(request_id="bench", now=now, route="/predict/batch"),
    )


def row(name: str, what: str, took: Sequence[float]) -> None:
    p50, p99 = np.percentile(took, [50, 99])
    print(f"| {name} | {what} | {p50:.2f} | {p99:.2f} |", flush=True)


def engine_on(url: str, folder: Path, feature_set: str) -> Platform:
    environ = {
        "ARTIFACTS_DIR": str(folder),
        "MARKET_DATA_BASE_URL": url,
        "MARKET_DATA_RETRY_ATTEMPTS": "0",
        "RATE_LIMIT_REQUESTS": "0",
    }
    platform = build_platform(Settings.from_env(environ))
    platform.control.migrate_and_backfill()
    publish(platform.registry.directory, feature_set=BUILTIN[feature_set])
    platform.models.activate("v1", actor="bench", reason="", now=datetime.now(UTC))
    return platform


@contextmanager
def upstream(arguments: Sequence[str]) -> Iterator[str]:
    """Its address, while the block runs."""
    command = [sys.executable, "-m", "benchmarks.prefetch", *arguments, "--upstream"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        yield run.stdout.readline().strip()
        run.communicate("")


def serve(symbols: Sequence[str], delay: float) -> None:
    """Serve until stdin ends."""
    bars = pl.concat(random_bars(symbol, rows=BARS) for symbol in symbols)
    with LoopbackUpstream(bars) as running:
        running.always = Fault(delay_seconds=delay)
        print(running.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    sys.exit(main())
