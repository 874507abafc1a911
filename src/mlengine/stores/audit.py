"""The audit: one committed row for each prediction, failures included, before its answer.

Writing is here; what monitoring reads from it stands in `audit_read.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine, delete, update

from mlengine.core.bars import Columns
from mlengine.core.event import Event
from mlengine.core.prediction import FailedPrediction, Prediction
from mlengine.errors import AuditUnavailable
from mlengine.stores.audit_quick import QuickInsert, quick_insert
from mlengine.stores.audit_read import AuditReader
from mlengine.stores.checks import Checks
from mlengine.stores.database import keep_writers_out, writing
from mlengine.stores.events import insert_event
from mlengine.stores.tables import bar_windows, feature_vectors, predictions
from mlengine.stores.vectors import ScoredVector, scored_vector, store_vectors


@dataclass(frozen=True, eq=False)
class Answered:
    """A prediction to audit, with what it was made of.

    `vector` is float64, shape (features,), NaN where a feature was null; `window` is the bars
    whose hash the prediction names.
    """

    prediction: Prediction
    vector: npt.NDArray[np.float64]
    window: Columns
    route: str
    at: datetime


@dataclass(frozen=True)
class Failed:
    """A prediction to audit that was asked for and not answered."""

    failure: FailedPrediction
    route: str
    at: datetime


AuditEntry: TypeAlias = Answered | Failed
_INSERT = predictions.insert()
_PROBE_PATIENCE_SECONDS = 0.2


@dataclass(frozen=True)
class AuditStore(AuditReader):
    """The tables of the audit; every method raises AuditUnavailable when they can't be used.

    `checks` has as `audit` whether the last write succeeded.
    """

    engine: Engine
    checks: Checks = field(default_factory=Checks, compare=False)

    def append(self, records: Sequence[AuditEntry]) -> None:
        """Write all records or none; they are committed when this returns."""
        if not records:
            return
        rows = [columns_of(entry) for entry in records]
        vectors = [vector_of(entry) for entry in records]
        with self._outcome_kept():
            if not self._inserted(rows, vectors):
                self._append_with_vectors(rows, vectors)

    @property
    def takes_at_once(self) -> bool:
        """Whether rows whose vectors are stored can be written without SQLAlchemy."""
        return self._quick is not None

    def append_at_once(self, records: Sequence[AuditEntry]) -> bool:
        """As `append` where the rows alone have to be written and can be; else False, and none is.

        It may take some 50 ms to find out that another process keeps the database locked.
        """
        rows = [columns_of(entry) for entry in records]
        inserted = self._inserted(rows, [vector_of(entry) for entry in records])
        if inserted:
            self.checks.record("audit", "ok")
        return inserted

    def _inserted(
        self, rows: Sequence[dict[str, object]], vectors: Sequence[ScoredVector | None]
    ) -> bool:
        keys = [vector.key if vector else None for vector in vectors]
        return bool(self._quick and self._quick.insert(list(zip(rows, keys, strict=True))))

    def _append_with_vectors(
        self, rows: Sequence[dict[str, object]], vectors: Sequence[ScoredVector | None]
    ) -> None:
        with writing(self.engine) as connection:
            stored = [vector for vector in vectors if vector]
            ids = store_vectors(connection, stored) if stored else {}
            numbered = [
                {**row, "vector_id": ids[vector.key] if vector else None}
                for row, vector in zip(rows, vectors, strict=True)
            ]
            connection.execute(_INSERT, numbered)
        if self._quick:
            self._quick.remember(ids)

    @cached_property
    def _quick(self) -> QuickInsert | None:
        return quick_insert(self.engine)

    def clear(self, *, actor: str, at: datetime) -> int:
        """Delete every prediction, vector and window; returns how many predictions.

        The event that says who did it and how many is written in the same transaction.
        """
        with writing(self.engine) as connection:
            # In the order in which an append comes to them, so that neither waits for the other.
            keep_writers_out(connection, feature_vectors, bar_windows, predictions)
            count = connection.execute(delete(predictions)).rowcount
            connection.execute(delete(feature_vectors))
            connection.execute(delete(bar_windows))
            details = {"predictions": count}
            cleared = Event(kind="audit_cleared", at=at, version=None, actor=actor, details=details)
            insert_event(connection, cleared)
        return count

    def writable(self) -> bool:
        """Whether a prediction could be written now; a real write transaction finds out, soon."""
        try:
            with (
                self._outcome_kept(),
                writing(self.engine, patience_seconds=_PROBE_PATIENCE_SECONDS) as connection,
            ):
                # Touches no row, and yet fails where the table is missing or read-only.
                connection.execute(
                    update(predictions).where(predictions.c.seq < 0).values(ok=False)
                )
        except AuditUnavailable:
            return False
        return True

    def state(self) -> str:
        """How the audit does, for `/health`."""
        return self.checks.state("audit")

    @contextmanager
    def _outcome_kept(self) -> Iterator[None]:
        try:
            yield
        except AuditUnavailable:
            self.checks.record("audit", "down")
            raise
        self.checks.record("audit", "ok")


_NOTHING_ANSWERED: dict[str, object] = dict.fromkeys(
    (
        "objective",
        "horizon_bars",
        "probability_up",
        "expected_return",
        "expected_score",
        "prediction",
        "confidence",
        "model_fingerprint",
        "trained_through",
        "in_sample",
        "known_symbol",
        "base_rate",
        "stale",
        "degraded",
        "reasons",
    )
)


def columns_of(entry: AuditEntry) -> dict[str, object]:
    """The columns of the entry's row but `seq`, which the database gives, and `vector_id`."""
    return _answered(entry) if isinstance(entry, Answered) else _failed(entry)


def vector_of(entry: AuditEntry) -> ScoredVector | None:
    """The vector that the entry's row refers to; a failure has none."""
    if isinstance(entry, Failed):
        return None
    return scored_vector(entry.prediction, entry.vector, entry.window)


def _answered(entry: Answered) -> dict[str, object]:
    said = entry.prediction
    return {
        **_common(entry.prediction, entry.route, entry.at),
        "ok": True,
        "objective": said.objective,
        "horizon_bars": said.horizon_bars,
        "probability_up": said.probability_up,
        "expected_return": said.expected_return,
        "expected_score": said.expected_score,
        "prediction": said.prediction,
        "confidence": said.confidence,
        "model_fingerprint": said.model_fingerprint,
        "trained_through": said.trained_through,
        "in_sample": said.in_sample,
        "known_symbol": said.known_symbol,
        "base_rate": said.base_rate,
        "stale": said.stale,
        "degraded": said.degraded,
        "reasons": " ".join(said.reasons),
        "error_code": None,
        "error_detail": None,
    }


def _failed(entry: Failed) -> dict[str, object]:
    return {
        **_common(entry.failure, entry.route, entry.at),
        **_NOTHING_ANSWERED,
        "ok": False,
        "error_code": entry.failure.error_code,
        "error_detail": entry.failure.detail,
    }


def _common(asked: Prediction | FailedPrediction, route: str, at: datetime) -> dict[str, object]:
    return {
        "prediction_id": asked.prediction_id,
        "request_id": asked.request_id,
        "at": at,
        "route": route,
        "symbol": asked.symbol,
        "as_of": asked.as_of,
        "model_version": asked.model_version,
        "bars_ms": asked.latency_ms.bars,
        "features_ms": asked.latency_ms.features,
        "model_ms": asked.latency_ms.model,
        "total_ms": asked.latency_ms.total,
    }
