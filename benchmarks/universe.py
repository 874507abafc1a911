"""What a universe by the minute costs: `python -m benchmarks.universe`.

Ten thousand symbols of one Parquet file, in requests of as many symbols as a batch may have, by a
process that has answered nothing yet; then again with one new bar of each, some times over. All is
audited, in SQLite and, where it is installed, in PostgreSQL. CPU seconds of the platform's process
a bar, those of PostgreSQL's beside them, and what a prediction with its vector and its bar takes in
the database, by what the tables have grown by since the first bar.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from benchmarks.features import generated_bars
from benchmarks.serving import head, row, say_where
from sqlalchemy import Engine
from tests.platforms import settings
from tests.postgres import running_server, what_is_missing
from tests.published import publish

from mlengine.bootstrap.platform import Platform, build_platform
from mlengine.core.predictions.prediction import Prediction
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.database.migrate import migrate
from mlengine.stores.system.garbage_collection import collect_less_often

BARS, MINUTE = 150, timedelta(minutes=1)
START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
TABLES = ("predictions", "feature_vectors", "bar_windows", "bar_segments", "bar_series")


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--symbols", type=int, default=10_000)
    asked.add_argument("--bars", type=int, default=4, help="how many new ones")
    asked.add_argument("--batch", type=int, default=5_000, help="symbols a request")
    asked.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    options = asked.parse_args()
    collect_less_often()  # as every process of the platform does
    say_where()
    print()
    head(
        *("database", "cold, CPU s", "next bar, CPU s", "of its server"),
        *("bytes a prediction", "of which " + ", ".join(TABLES)),
    )
    bars = _minutes(options.symbols, BARS + options.bars)
    for name, url, server_seconds in _databases(options.database):
        with tempfile.TemporaryDirectory(prefix="mlengine-bench-") as folder:
            _measure(name, Path(folder), bars, url, server_seconds, options)
    return 0


def _measure(
    name: str,
    folder: Path,
    bars: pl.DataFrame,
    url: str | None,
    server_seconds: Callable[[], float],
    options: argparse.Namespace,
) -> None:
    platform = _platform(folder, url or f"sqlite:///{folder}/audit.db", options.symbols)
    symbols = bars["symbol"].unique(maintain_order=True).to_list()
    seconds, of_server, sizes = [], [], []
    for newest in range(BARS, BARS + options.bars + 1):
        now = START + newest * MINUTE
        bars.filter(pl.col("timestamp") < now).write_parquet(folder / "bars" / "panel.parquet")
        begun, served = time.process_time(), server_seconds()
        for first in range(0, len(symbols), options.batch):
            request = PredictionRequest("bench", now + MINUTE / 60, route="/predict/batch")
            batch = platform.predict.predict_batch(symbols[first : first + options.batch], request)
            assert all(isinstance(each, Prediction) for each in batch.results)
        seconds.append(time.process_time() - begun)
        of_server.append(server_seconds() - served)
        sizes.append(_sizes(platform.control.database))
    rows = (len(sizes) - 1) * len(symbols)
    grown = {table: (sizes[-1][table] - sizes[0][table]) / rows for table in TABLES}
    row(
        name,
        f"{seconds[0]:.2f}",
        f"{statistics.median(seconds[1:]):.2f}",
        f"{of_server[0]:.2f}, {statistics.median(of_server[1:]):.2f}" if url else "",
        f"{sum(grown.values()):,.0f}",
        ", ".join(f"{each:,.0f}" for each in grown.values()),
    )
    platform.control.database.dispose()


def _platform(folder: Path, url: str, symbols: int) -> Platform:
    """One that has a tiny model on `core` by the minute."""
    (folder / "bars").mkdir()
    migrate(url)
    changed = {"AUDIT_DATABASE_URL": url, "MARKET_DATA_INTERVAL": "1m", "TRAIN_SYMBOLS": "S0000"}
    changed |= {"BARS_CACHE_SYMBOLS": str(symbols)}
    platform = build_platform(settings(folder, **changed))
    publish(platform.models.registry.directory, interval="1m")
    platform.models.activate("v1", actor="bench", reason="", now=START)
    return platform


def _minutes(symbols: int, bars: int) -> pl.DataFrame:
    """Invented bars of each minute from START on."""
    generated = generated_bars(symbols, bars)
    first = generated["timestamp"].min()
    assert isinstance(first, datetime)
    days = (pl.col("timestamp") - first).dt.total_days()
    return generated.with_columns(timestamp=pl.lit(START) + days * pl.lit(MINUTE))


def _databases(chosen: str) -> Iterator[tuple[str, str | None, Callable[[], float]]]:
    """Each with its URL, and what its server has used of the processors so far."""
    if chosen != "postgresql":
        yield "SQLite", None, lambda: 0.0
    if chosen == "sqlite":
        return
    if missing := what_is_missing():
        print(f"PostgreSQL: {missing}")
        return
    with _postgres() as (url, server_seconds):
        yield "PostgreSQL", url, server_seconds


@contextmanager
def _postgres() -> Iterator[tuple[str, Callable[[], float]]]:
    with running_server() as server:
        yield server.new_database(), server.cpu_seconds


def _sizes(database: Engine) -> dict[str, int]:
    """The bytes of each table with its indexes."""
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            of = "SELECT sum(pgsize) FROM dbstat WHERE name = ? OR name LIKE ? OR name LIKE ?"
            return {
                each: connection.exec_driver_sql(
                    of, (each, f"ix_{each}%", f"sqlite_autoindex_{each}%")
                ).scalar()
                or 0
                for each in TABLES
            }
        sizes = {}
        for each in TABLES:
            connection.exec_driver_sql(f"VACUUM {each}")  # as its autovacuum does within a minute
            parts = (
                "SELECT relid FROM pg_partition_tree(%(table)s) UNION SELECT %(table)s::regclass"
            )
            size = connection.exec_driver_sql(
                f"SELECT sum(pg_total_relation_size(relid)) FROM ({parts}) AS parts",  # noqa: S608
                {"table": each},
            ).scalar()
            sizes[each] = int(size or 0)
        return sizes


if __name__ == "__main__":
    sys.exit(main())
