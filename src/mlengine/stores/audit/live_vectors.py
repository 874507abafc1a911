"""What a version scored for the present, distinct bars by date: the raw material of drift."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, ColumnElement, Engine, and_, func, or_, select, type_coerce

from mlengine.core.arrays import Floats, Moments
from mlengine.core.bars.intervals import INTERVALS
from mlengine.core.line_names import MODEL_LINE, version_key
from mlengine.core.timestamps import DAY_MICROSECONDS
from mlengine.errors import DamagedRow
from mlengine.stores.database.archive.reading import archived_rows
from mlengine.stores.database.archive.selection import Selection
from mlengine.stores.database.engine import reading
from mlengine.stores.database.tables import (
    MICROSECOND,
    feature_vectors,
    predictions,
    to_microseconds,
)

# Numbers are given before the commit: on a server a lower one may become visible later.
_LATE_ROWS, _LATE = 5_000, timedelta(minutes=2)


@dataclass(frozen=True)
class ScoredVersion:
    """Whose predictions are meant: a version, its feature set, and the interval of its bars."""

    version: str
    feature_set_hash: str
    interval: str
    features: int


@dataclass(frozen=True)
class LiveRows:
    """By symbol and bar: `vectors` (rows, features) with NaN where undefined, and the `scores`."""

    symbols: list[str]
    bar_timestamps: Moments
    vectors: Floats
    scores: Floats


@dataclass(frozen=True)
class LiveVectorReader:
    """Every method raises DatabaseUnavailable.

    A prediction is live that was asked for less than a bar after its `as_of`. A bar that was asked
    for again counts once, by its last answer.
    """

    engine: Engine
    line: str = MODEL_LINE

    def newest_seq(self, version: str) -> int | None:
        """The number of a version's newest prediction, None where there is none."""
        key = version_key(self.line, version)
        query = select(func.max(predictions.c.seq)).where(predictions.c.model_version == key)
        with reading(self.engine) as connection:
            newest: int | None = connection.scalar(query)
        if newest is None:
            meant = Selection(among={"model_version": [key]}, newest=1)
            newest = next((each[0] for each in archived_rows(self.engine, query, meant)), None)
        return newest

    def dates_since(
        self, scored: ScoredVersion, *, seq: int, updated_at: datetime | None
    ) -> list[int]:
        """The dates, ascending, of live bars that were predicted after number `seq`.

        Those of late rows may be among them: rows with a number that is not much lower, of a moment
        not long before `updated_at`.
        """
        is_new = predictions.c.seq > seq
        if updated_at is not None:
            is_late = and_(
                predictions.c.seq > seq - _LATE_ROWS, predictions.c.at > updated_at - _LATE
            )
            is_new = or_(is_new, is_late)
        date = (_microseconds(feature_vectors.c.bar_timestamp) // DAY_MICROSECONDS).label("date")
        query = (
            select(date)
            .distinct()
            .join(predictions, predictions.c.vector_id == feature_vectors.c.id)
            .where(*_is_live(scored, self.line), is_new)
            .order_by(date)
        )
        with reading(self.engine) as connection:
            dates = set(connection.scalars(query))
        meant = self._of(scored, spans={"seq": (max(seq - _LATE_ROWS, 0), None)})
        return sorted(dates | {each.date for each in archived_rows(self.engine, query, meant)})

    def rows(self, scored: ScoredVersion, *, date: int) -> LiveRows:
        """The rows of a date, ordered by bar and symbol; raises DamagedRow."""
        vector, prediction = feature_vectors.c, predictions.c
        first = date * DAY_MICROSECONDS
        bar = _microseconds(vector.bar_timestamp)
        newest = (
            select(func.max(prediction.seq).label("seq"))
            .join(feature_vectors, prediction.vector_id == vector.id)
            .where(*_is_live(scored, self.line), bar >= first, bar < first + DAY_MICROSECONDS)
            .group_by(vector.bar_timestamp, vector.symbol)
            .subquery()
        )
        score = func.coalesce(
            prediction.probability_up, prediction.expected_return, prediction.expected_score
        )
        query = (
            select(vector.symbol, vector.bar_timestamp, score.label("score"), vector.payload)
            .select_from(newest)
            .join(predictions, prediction.seq == newest.c.seq)
            .join(feature_vectors, prediction.vector_id == vector.id)
            .order_by(vector.bar_timestamp, vector.symbol)
        )
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        meant = self._of(scored, spans={"bar_timestamp": (first, first + DAY_MICROSECONDS - 1)})
        if archived := archived_rows(self.engine, query, meant):
            by_bar = {(each.bar_timestamp, each.symbol): each for each in (*archived, *rows)}
            rows = [by_bar[key] for key in sorted(by_bar)]
        try:
            return LiveRows(
                [str(row.symbol) for row in rows],
                np.array([to_microseconds(row.bar_timestamp) for row in rows], np.int64),
                _vectors([row.payload for row in rows], scored.features),
                np.array([row.score for row in rows], np.float64),
            )
        except (TypeError, ValueError):
            raise DamagedRow from None

    def _of(self, scored: ScoredVersion, **conditions: Any) -> Selection:
        """The archived predictions of a version."""
        among = {
            "model_version": [version_key(self.line, scored.version)],
            "feature_set_hash": [scored.feature_set_hash],
        }
        return Selection(among=among, **conditions)


def _is_live(scored: ScoredVersion, line: str) -> tuple[ColumnElement[bool], ...]:
    vector, prediction = feature_vectors.c, predictions.c
    lag = _microseconds(prediction.at) - _microseconds(prediction.as_of)
    return (
        prediction.model_version == version_key(line, scored.version),
        vector.feature_set_hash == scored.feature_set_hash,
        vector.interval == scored.interval,
        lag < INTERVALS[scored.interval] // MICROSECOND,
    )


def _microseconds(moment: ColumnElement[datetime]) -> ColumnElement[int]:
    return type_coerce(moment, BigInteger)


def _vectors(payloads: list[bytes], features: int) -> Floats:
    if not payloads:
        return np.empty((0, features))
    joined = np.frombuffer(b"".join(payloads), "<f8").astype(np.float64)
    return joined.reshape(len(payloads), features)
