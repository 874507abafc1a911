"""Real SQLite databases at the newest schema, and entries for their audit."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from sqlalchemy import Engine
from tests.factories import random_bars

from mlengine.core.bars.bars import BarArrays, bars_hash
from mlengine.core.predictions.prediction import (
    FailedPrediction,
    FeatureSetRef,
    Latency,
    Prediction,
)
from mlengine.errors import UnknownSymbol
from mlengine.stores.audit.entries import AuditedFailure, AuditedPrediction
from mlengine.stores.audit.vectors import feature_vector_record
from mlengine.stores.bars.store import BarStore
from mlengine.stores.database.engine import open_database
from mlengine.stores.database.migrate import migrate

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
FEATURE_SET = FeatureSetRef("core", 1, "f" * 64, 64)


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.db"
        migrate(url_of(path))
        return path.read_bytes()


def new_database(path: Path) -> str:
    """Write an empty database at the newest schema; returns its URL."""
    path.write_bytes(_migrated())
    return url_of(path)


def bar_store(folder: Path) -> BarStore:
    """The bars in a database of this folder, which is there or is made."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "audit.db"
    return BarStore(open_database(url_of(path) if path.exists() else new_database(path)))


@contextmanager
def opened(url: str, *, busy_timeout_seconds: float = 5.0) -> Iterator[Engine]:
    """An engine that leaves no connection behind."""
    engine = open_database(url, busy_timeout_seconds=busy_timeout_seconds)
    try:
        yield engine
    finally:
        engine.dispose()


def window_of(symbol: str, *, day: int = 0, rows: int = 8) -> pl.DataFrame:
    """The bars of `symbol` that end with day number `day`."""
    return random_bars(symbol, rows=day + rows).tail(rows)


def a_prediction(number: int, *, symbol: str = "AAA", day: int = 0) -> Prediction:
    """A `direction` prediction on the bar of day number `day`."""
    window = window_of(symbol, day=day)
    return Prediction(
        prediction_id=f"p{number}",
        request_id=f"r{number}",
        symbol=symbol,
        interval="1d",
        as_of=NOW,
        bar_timestamp=window["timestamp"][-1],
        horizon_bars=5,
        objective="direction",
        probability_up=0.1 + 0.2,
        expected_return=None,
        prediction="down",
        confidence=1.0 / 3.0,
        model_version="v1",
        model_fingerprint="e" * 64,
        feature_set=FEATURE_SET,
        bars_hash=bars_hash(window),
        trained_through=NOW - timedelta(days=9),
        in_sample=False,
        known_symbol=True,
        base_rate=0.5123456789012345,
        stale=True,
        degraded=False,
        latency_ms=Latency(0.1, 0.2, 0.30000000000000004, 1e-3),
    )


def answered(
    number: int,
    *,
    symbol: str = "AAA",
    day: int = 0,
    first: float | None = None,
    **changes: object,
) -> AuditedPrediction:
    """An entry for the audit, written `number` seconds after NOW, with a vector of three.

    `first` is the vector's first number, by default that of the day.
    """
    prediction = replace(a_prediction(number, symbol=symbol, day=day), **changes)  # type: ignore[arg-type]
    vector = np.array([day if first is None else first, np.nan, np.nextafter(0.1, 1.0)])
    scored = feature_vector_record(prediction, vector, BarArrays.of(window_of(symbol, day=day)))
    return AuditedPrediction(prediction, scored, "/predict", NOW + timedelta(seconds=number))


def failed(number: int, *, symbol: str = "NOPE", version: str | None = "v1") -> AuditedFailure:
    """A failure for the audit, written `number` seconds after NOW."""
    error = UnknownSymbol(symbol)
    failure = FailedPrediction(
        prediction_id=f"p{number}",
        request_id=f"r{number}",
        symbol=symbol,
        as_of=NOW,
        model_version=version,
        error_code=error.code,
        detail=str(error),
        latency_ms=Latency(2.0, None, None, 2.5),
    )
    return AuditedFailure(failure, route="/predict", at=NOW + timedelta(seconds=number))
