"""A universe scored at every minute by three workers: `python -m benchmarks.signals`.

Real workers over a real queue server, each with its process for signals, and bars of one Parquet
file that become final by the clock. In the middle of each bar, once a part of its signals is
there, one worker is killed with -9, and another starts in its place. A bar is complete when every
symbol has one signal of the champion and one of the version before it.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from benchmarks.features import generated_bars
from benchmarks.serving import head, row, say_where
from sqlalchemy import Engine, func, select
from tests.patience import eventually
from tests.platforms import settings
from tests.postgres import running_server
from tests.published import publish
from tests.queue_process import QueueProcess

from mlengine.bootstrap.platform import build_platform
from mlengine.stores.database.engine import open_database, reading
from mlengine.stores.database.migrate import migrate
from mlengine.stores.database.tables import predictions, signal_bars, signals

MINUTE, BARS, WORKERS = timedelta(minutes=1), 150, 3


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--symbols", type=int, default=500)
    asked.add_argument("--slice", type=int, default=50)
    asked.add_argument("--bars", type=int, default=5)
    asked.add_argument("--postgresql", action="store_true")
    options = asked.parse_args()
    say_where()
    with ExitStack() as opened, tempfile.TemporaryDirectory(prefix="mlengine-bench-") as name:
        folder, queue = Path(name), opened.enter_context(QueueProcess())
        url = f"sqlite:///{folder}/audit.db"
        if options.postgresql:
            url = opened.enter_context(running_server()).new_database()
        environ = _platform(folder, url, queue.url, options)
        workers = [_start(environ, folder) for _ in range(WORKERS)]
        opened.callback(lambda: [each.kill() for each in workers])
        return _measure(open_database(url), workers, environ, folder, options)


def _measure(
    database: Engine,
    workers: list[subprocess.Popen[bytes]],
    environ: Mapping[str, str],
    folder: Path,
    options: argparse.Namespace,
) -> int:
    head("bar", "rows there at the kill", "complete after", "signals", "distinct", "audit rows")
    drawn, is_good = random.Random(7), True  # noqa: S311 - whom to kill
    first = _minute() + 2 * MINUTE  # until then the workers have started
    wanted = 2 * options.symbols
    for number in range(options.bars):
        bar = first + number * MINUTE
        assert eventually(lambda bar=bar: _count(database, bar)[0] > 0, seconds=180)
        there = _count(database, bar)[0]
        victim = drawn.randrange(WORKERS)
        workers[victim].kill()
        workers[victim].wait()
        workers[victim] = _start(environ, folder)
        eventually(lambda bar=bar: _completed(database, bar) is not None, seconds=55)
        completed, (rows, distinct, audited) = _completed(database, bar), _count(database, bar)
        seconds = (completed - bar - MINUTE).total_seconds() if completed else None
        said = f"{seconds:.1f} s" if seconds is not None else "never"
        row(f"{bar:%H:%M}", there, said, rows, distinct, audited)
        is_good &= seconds is not None and seconds < 60.0
        is_good &= rows == distinct == audited == wanted
    print("each symbol exactly once, within an interval" if is_good else "NOT as it should be")
    return 0 if is_good else 1


def _count(database: Engine, bar: datetime) -> tuple[int, int, int]:
    """Signals of a bar, those with different symbols or versions, and their rows in the audit."""
    said, row_of = signals.c, predictions.c
    with reading(database) as connection:
        keys = connection.execute(
            select(said.model_version, said.symbol, said.prediction_id).where(
                said.bar_timestamp == bar, said.error.is_(None)
            )
        ).all()
        request = f"signals-main-{bar + MINUTE:%Y%m%dT%H%M%SZ}"
        of_bar = select(func.count()).where(row_of.request_id == request)
        audited = connection.scalar(of_bar) or 0
    return len(keys), len({(each.model_version, each.symbol) for each in keys}), audited


def _completed(database: Engine, bar: datetime) -> datetime | None:
    query = select(signal_bars.c.completed_at).where(signal_bars.c.bar_timestamp == bar)
    with reading(database) as connection:
        moment: datetime | None = connection.scalar(query)
    return moment


def _platform(folder: Path, url: str, queue: str, options: argparse.Namespace) -> dict[str, str]:
    """One with two tiny models by the minute; returns the variables of its workers."""
    (folder / "bars").mkdir()
    symbols = _write_bars(folder, options)
    changed = {
        "AUDIT_DATABASE_URL": url,
        "REDIS_URL": queue,
        "MARKET_DATA_INTERVAL": "1m",
        "MARKET_DATA_CALENDAR": "24/7",
        "MARKET_DATA_CACHE_SECONDS": "1",
        "BARS_CACHE_SYMBOLS": str(options.symbols),
        "TRAIN_SYMBOLS": ",".join(symbols),
        "SIGNALS": "main",
        "SIGNALS_SLICE_SYMBOLS": str(options.slice),
        "MONITOR_EVERY_SECONDS": "0",
    }
    migrate(url)
    platform = build_platform(settings(folder, **changed))
    for seed in (1, 2):
        publish(platform.registry.directory, interval="1m", seed=seed, run_id=f"r{seed}")
        platform.models.activate(f"v{seed}", actor="bench", reason="", now=datetime.now(UTC))
    platform.control.database.dispose()
    own = {
        "ADMIN_API_KEY": "a-test-key-of-thirty-two-letters",
        "ARTIFACTS_DIR": str(folder / "artifacts"),
        "MARKET_DATA_DIR": str(folder / "bars"),
        "LOG_LEVEL": "WARNING",
    }
    return {**os.environ, **own, **changed}


def _write_bars(folder: Path, options: argparse.Namespace) -> list[str]:
    """Of the last hours, and of the coming minutes, which are not final yet."""
    coming = options.bars + 30
    start = _minute() - BARS * MINUTE
    generated = generated_bars(options.symbols, BARS + coming)
    begun = generated["timestamp"].min()
    days = (pl.col("timestamp") - pl.lit(begun)).dt.total_days()
    panel = generated.with_columns(timestamp=pl.lit(start) + days * pl.lit(MINUTE))
    panel.write_parquet(folder / "bars" / "panel.parquet")
    return [str(each) for each in panel["symbol"].unique(maintain_order=True)]


def _start(environ: Mapping[str, str], folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlengine.jobs"]
    return subprocess.Popen(command, env=dict(environ), cwd=folder)


def _minute() -> datetime:
    return datetime.fromtimestamp(time.time() // 60 * 60, UTC)


if __name__ == "__main__":
    sys.exit(main())
