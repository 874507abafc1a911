"""What is read from the audit: single rows, and the raw material of monitoring."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from sqlalchemy import BigInteger, Select, exists, func, select, type_coerce

from mlengine.core.arrays import Floats
from mlengine.core.bars.intervals import INTERVALS
from mlengine.errors import DamagedRow
from mlengine.stores.audit.prediction_reader import PredictionReader
from mlengine.stores.audit.vectors import decode_vector
from mlengine.stores.database.engine import reading
from mlengine.stores.database.many_rows import SelectByKey
from mlengine.stores.database.tables import MICROSECOND, feature_vectors, predictions

_SCORE_SCHEMA = pl.Schema(
    {"symbol": pl.String(), "timestamp": pl.Datetime("us", "UTC"), "score": pl.Float64()}
)
_PAYLOADS = SelectByKey(
    select(feature_vectors.c.id, feature_vectors.c.payload), feature_vectors.c.id
)
LATENCY_SCHEMA = {
    "route": pl.String,
    "ok": pl.Boolean,
    **dict.fromkeys(("bars", "features", "model", "total"), pl.Float64),
}


@dataclass(frozen=True)
class AuditReader(PredictionReader):
    """The reading half of the audit; every method raises DatabaseUnavailable."""

    def vectors(
        self, *, feature_set_hash: str, model_version: str, rows: int, names: Sequence[str]
    ) -> pl.DataFrame:
        """What a model scored on its newest `rows` distinct bars, oldest bar first.

        Columns `symbol`, `timestamp`, `score` (the model's number) and
        `names`, the feature set's own, null where a feature was. A bar that was asked for
        again counts once, by its last answer.
        """
        with reading(self.engine) as connection:
            newest = connection.execute(_newest_bars(feature_set_hash, model_version, rows)).all()
        newest = sorted(newest, key=lambda row: (row.bar_timestamp, row.symbol))
        scores = [(row.symbol, row.bar_timestamp, row.score) for row in newest]
        with _damage_told():
            vectors = np.array([decode_vector(row.payload) for row in newest])
            matrix = vectors.reshape(len(newest), len(names))
            features = pl.DataFrame(matrix, schema=dict.fromkeys(names, pl.Float64), orient="row")
            frame = pl.DataFrame(scores, schema=_SCORE_SCHEMA, orient="row")
            return frame.hstack(features.fill_nan(None))

    def vectors_by_id(self, ids: Collection[int]) -> dict[int, Floats]:
        """The vectors as they were scored, (features,) each, NaN where a feature was null."""
        with reading(self.engine) as connection:
            return {id_: decode_vector(each) for id_, each in _PAYLOADS.rows(connection, ids)}

    def has_predictions_of(self, version: str) -> bool:
        """Whether any prediction was asked of this version."""
        query = select(predictions.c.seq).where(predictions.c.model_version == version).limit(1)
        with reading(self.engine) as connection:
            return connection.scalar(query) is not None

    def latencies(self, since: datetime, *, limit: int) -> pl.DataFrame:
        """Milliseconds a stage of the newest predictions from `since` on, oldest first.

        Columns LATENCY_SCHEMA; a stage that was not reached is null.
        """
        table = predictions.c
        stages = (table.bars_ms, table.features_ms, table.model_ms, table.total_ms)
        newest_first = table.at.desc(), table.seq.desc()
        query = select(table.route, table.ok, *stages).where(table.at >= since)
        with reading(self.engine) as connection:
            newest = connection.execute(query.order_by(*newest_first).limit(limit))
            rows = [tuple(row) for row in newest]
        with _damage_told():
            return pl.DataFrame(rows[::-1], schema=LATENCY_SCHEMA, orient="row")

    def last_prediction_at(self) -> datetime | None:
        """When a prediction was last answered."""
        table = predictions.c
        query = select(table.at).where(table.ok).order_by(table.seq.desc()).limit(1)
        with reading(self.engine) as connection:
            return connection.scalar(query)

    def last_live_bars(self, interval: str) -> dict[str, datetime]:
        """The newest bar of each symbol that was predicted less than a bar after its `as_of`.

        What was asked about the past says nothing about the feed.
        """
        vector, prediction = feature_vectors.c, predictions.c
        lag = type_coerce(prediction.at, BigInteger) - type_coerce(prediction.as_of, BigInteger)
        live = exists().where(
            prediction.vector_id == vector.id, lag < INTERVALS[interval] // MICROSECOND
        )
        symbols = select(vector.symbol).where(vector.interval == interval).distinct().subquery()
        newest = (
            select(vector.bar_timestamp)
            .where(vector.interval == interval, vector.symbol == symbols.c.symbol, live)
            .order_by(vector.bar_timestamp.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = select(symbols.c.symbol, newest.label("bar")).order_by(symbols.c.symbol)
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        if not all(isinstance(row.symbol, str) for row in rows):
            raise DamagedRow
        return {row.symbol: row.bar for row in rows if row.bar is not None}


@contextmanager
def _damage_told() -> Iterator[None]:
    """Raises DamagedRow where values have not the types of their columns."""
    try:
        yield
    except (TypeError, ValueError, pl.exceptions.PolarsError):
        raise DamagedRow from None


def _newest_bars(
    feature_set_hash: str, model_version: str, rows: int
) -> Select[tuple[object, ...]]:
    vector, prediction = feature_vectors.c, predictions.c
    newest = (
        select(func.max(prediction.seq).label("seq"))
        .join(feature_vectors, prediction.vector_id == vector.id)
        .where(
            vector.feature_set_hash == feature_set_hash, prediction.model_version == model_version
        )
        .group_by(vector.bar_timestamp, vector.symbol)
        .order_by(vector.bar_timestamp.desc(), vector.symbol.desc())
        .limit(rows)
        .subquery()
    )
    score = func.coalesce(
        prediction.probability_up, prediction.expected_return, prediction.expected_score
    )
    return (
        select(vector.symbol, vector.bar_timestamp, score.label("score"), vector.payload)
        .select_from(newest)
        .join(predictions, prediction.seq == newest.c.seq)
        .join(feature_vectors, prediction.vector_id == vector.id)
    )
