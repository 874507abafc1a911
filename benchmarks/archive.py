"""What an archived prediction takes on disk: `python -m benchmarks.archive`.

Generated bars of a minute, all digits taken, the features of `core`, a score a symbol and minute in
batches of 500: as an audit has them, whose windows of bars are recorded and not copied. Bytes are
those of the database before, and of the archive's files after a day was moved.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from benchmarks.features import generated_bars
from benchmarks.serving import head, row, say_where
from tests.postgres import postgres_server, what_is_missing

from mlengine.core.bars.bars import BarArrays
from mlengine.core.features import CORE, compute
from mlengine.core.predictions.prediction import FeatureSetRef, Latency, Prediction
from mlengine.services.audit.service import AuditService
from mlengine.stores.audit.entries import AuditedPrediction
from mlengine.stores.audit.spool.spool import AuditSpool
from mlengine.stores.audit.spool.store import SpooledAuditStore
from mlengine.stores.audit.vectors import feature_vector_record
from mlengine.stores.database.archive.files import AuditArchive, give_archive
from mlengine.stores.database.engine import open_database
from mlengine.stores.database.migrate import migrate
from mlengine.stores.database.table_sizes import table_sizes

MINUTE, BATCH = timedelta(minutes=1), 500
FIRST = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
TABLES = ("predictions", "feature_vectors", "bar_windows")
SET = FeatureSetRef(CORE.name, CORE.version, CORE.hash, CORE.window_bars)


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--symbols", type=int, default=1_000)
    asked.add_argument("--minutes", type=int, default=60)
    options = asked.parse_args()
    say_where()
    vectors = _vectors(options.symbols, options.minutes)
    head("database", "predictions", "bytes each in it", "bytes each archived", "rows/s archived")
    for name, server in (("SQLite", None), ("PostgreSQL", postgres_server)):
        if server is not None and what_is_missing() is not None:
            continue
        with (
            tempfile.TemporaryDirectory(prefix="mlengine-bench-") as folder,
            _in_folder(folder) if server is None else server() as url,
        ):
            row(name, *_measure(Path(folder), url, vectors))
    return 0


@contextmanager
def _in_folder(folder: str) -> Iterator[str]:
    yield f"sqlite:///{folder}/audit.db"


def _measure(folder: Path, url: str, vectors: dict[datetime, np.ndarray]) -> tuple[str, ...]:
    migrate(url)
    engine = open_database(url)
    give_archive(engine, AuditArchive(folder / "audit-archive"))
    store = SpooledAuditStore(engine, spool=AuditSpool(folder / "spool"))
    count = 0
    for minute, matrix in vectors.items():
        for first in range(0, len(matrix), BATCH):
            entries = _batch(minute, matrix[first : first + BATCH], first)
            store.append(entries)
            count += len(entries)
    size = sum(each.bytes or 0 for each in table_sizes(url, seconds=60.0) if each.name in TABLES)
    later = FIRST + timedelta(days=2)
    begun = time.perf_counter()
    days = AuditService(store).archive_days(before=later.date(), actor="bench", now=later)
    assert sum(each.rows for each in days) == count
    took = time.perf_counter() - begun
    archived = sum(each.stat().st_size for each in (folder / "audit-archive").iterdir())
    engine.dispose()
    return (
        f"{count:,}",
        f"{size / count:,.0f}",
        f"{archived / count:,.0f}",
        f"{count / took:,.0f}",
    )


def _vectors(symbols: int, minutes: int) -> dict[datetime, np.ndarray]:
    """By minute, shape (symbols, features)."""
    bars = generated_bars(symbols, CORE.window_bars + minutes)
    rows = compute(bars, CORE).sort("timestamp", "symbol")
    days = rows["timestamp"].unique().sort().tail(minutes)
    return {
        FIRST + number * MINUTE: rows.filter(pl.col("timestamp") == day)
        .select(CORE.names)
        .to_numpy()
        .astype(np.float64)
        for number, day in enumerate(days)
    }


def _batch(minute: datetime, matrix: np.ndarray, first: int) -> list[AuditedPrediction]:
    """One request, audited a moment after its bars were final."""
    rng = np.random.default_rng(int(minute.timestamp()) + first)
    request_id, fingerprint = secrets.token_hex(16), "ab" * 32
    at = minute + MINUTE + timedelta(microseconds=int(rng.integers(5_000_000)))
    latency = Latency(*rng.random(4).round(3).tolist())
    entries = []
    for number, vector in enumerate(matrix, first):
        starts = np.full(1, number, "<i8")
        window = BarArrays(f"S{number:04d}", starts, np.ones((5, 1)), starts, recorded_by=1)
        probability = float(rng.normal(0.5, 0.02))
        made = Prediction(
            prediction_id=f"{time.time_ns():020x}{secrets.token_hex(6)}",
            request_id=request_id,
            symbol=window.symbol,
            interval="1m",
            as_of=at,
            bar_timestamp=minute,
            horizon_bars=5,
            objective="direction",
            probability_up=probability,
            expected_return=None,
            expected_score=float(rng.normal()),
            prediction="up" if probability >= 0.5 else "down",
            confidence=abs(2 * probability - 1),
            model_version="v1",
            model_fingerprint=fingerprint,
            feature_set=SET,
            bars_hash=secrets.token_hex(32),
            trained_through=FIRST - timedelta(days=30),
            in_sample=False,
            known_symbol=True,
            base_rate=0.512345678901,
            stale=False,
            degraded=False,
            bars_age_seconds=float(rng.random()),
            latency_ms=latency,
        )
        scored = feature_vector_record(made, vector, window)
        entries.append(AuditedPrediction(made, scored, "/predict/batch", at))
    return entries


if __name__ == "__main__":
    sys.exit(main())
