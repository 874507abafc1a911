"""What a row of the audit costs SQLite: `python -m benchmarks.writing`, CPU µs a row.

Rows whose vectors are stored, of 50 symbols by turns, as the short way writes them: several in one
statement, from one process or from two that write at once. By size of the database's pages.
"""

from __future__ import annotations

import itertools
import multiprocessing
import secrets
import sqlite3
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from benchmarks.serving import head, row

from mlengine.core.bars.bars import BarArrays
from mlengine.core.predictions.prediction import FeatureSetRef, Latency, Prediction
from mlengine.stores.audit.entries import AuditedPrediction, entry_tuple
from mlengine.stores.audit.rows import insert_statement, stored_values
from mlengine.stores.audit.store import AuditStore
from mlengine.stores.audit.vectors import feature_vector_record
from mlengine.stores.database.engine import open_database
from mlengine.stores.database.migrate import migrate

SYMBOLS, ROWS = 50, 6_000
_PAUSE_SECONDS = 0.0002  # between two commits, so that the other process gets its turn
_BUSY_SECONDS = 0.0001


def main() -> int:
    head("page", "processes", "1 a statement", "2", "4", "8")
    for page, processes in itertools.product((1024, 2048, 4096), (1, 2)):
        costs = [_cost(page, processes, group) for group in (1, 2, 4, 8)]
        row(page, processes, *(f"{cost:.0f}" for cost in costs))
    return 0


def _cost(page: int, processes: int, group: int) -> float:
    with tempfile.TemporaryDirectory(prefix="mlengine-bench-") as folder:
        path = Path(folder) / "audit.db"
        _create(path, page)
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            costs = pool.starmap(_write, [(path, group)] * processes, chunksize=1)
    return sum(costs) / processes


def _create(path: Path, page: int) -> None:
    """A database with a vector of each symbol."""
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA page_size={page}")
        connection.execute("VACUUM")
    migrate(f"sqlite:///{path}")
    platform = open_database(f"sqlite:///{path}")
    AuditStore(platform).append([_answer(number) for number in range(SYMBOLS)])
    platform.dispose()


def _answer(number: int) -> AuditedPrediction:
    now = datetime.now(UTC)
    starts = np.arange(64, dtype="<i8")
    bars = BarArrays(f"S{number:04}", starts, np.full((5, 64), float(number)), starts)
    made = Prediction(
        prediction_id=secrets.token_hex(16),
        request_id=secrets.token_hex(16),
        symbol=bars.symbol,
        interval="1d",
        as_of=now,
        bar_timestamp=bars.last_timestamp,
        horizon_bars=1,
        objective="direction",
        probability_up=0.5123,
        expected_return=None,
        prediction="up",
        confidence=0.0246,
        model_version="v1",
        model_fingerprint="a" * 64,
        feature_set=FeatureSetRef("core", 1, "b" * 64, 64),
        bars_hash=bars.bars_hash,
        trained_through=now,
        in_sample=False,
        known_symbol=True,
        base_rate=0.5,
        stale=False,
        degraded=False,
        latency_ms=Latency(0.01, 0.01, 0.01, 0.1),
    )
    return AuditedPrediction(made, feature_vector_record(made, np.zeros(40), bars), "/predict", now)


def _write(path: Path, group: int) -> float:
    """CPU µs a row of this process, its pauses included."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    rows = _rows()
    begun = time.process_time()
    for first in range(0, ROWS, group):
        said = insert_statement(rows[first : first + group])
        while not _written(connection, *said):
            time.sleep(_BUSY_SECONDS)
        time.sleep(_PAUSE_SECONDS)
    return (time.process_time() - begun) / ROWS * 1e6


def _rows() -> list[list[object]]:
    answers = [_answer(number) for number in range(SYMBOLS)]
    rows: list[list[object]] = []
    for number in range(ROWS):
        answer = answers[number % SYMBOLS]
        # Ordered by time, as the platform's own ids are.
        prediction_id = f"{time.time_ns():020x}{secrets.token_hex(6)}"
        made = answer.prediction.with_changes({"prediction_id": prediction_id})
        values = entry_tuple(replace(answer, prediction=made))
        rows.append([*stored_values(values), number % SYMBOLS + 1])
    return rows


def _written(connection: sqlite3.Connection, sql: str, values: list[object]) -> bool:
    try:
        connection.execute(sql, values)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
