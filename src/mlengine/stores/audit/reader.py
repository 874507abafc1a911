"""What is read from the audit: single rows, and the raw material of monitoring."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from sqlalchemy import BigInteger, exists, select, type_coerce

from mlengine.core.arrays import Floats
from mlengine.core.bars.intervals import INTERVALS
from mlengine.errors import DamagedRow
from mlengine.stores.audit.prediction_reader import PredictionReader
from mlengine.stores.audit.vectors import decode_vector
from mlengine.stores.database.engine import reading
from mlengine.stores.database.many_rows import SelectByKey
from mlengine.stores.database.tables import MICROSECOND, feature_vectors, predictions

_PAYLOADS = SelectByKey(
    select(feature_vectors.c.id, feature_vectors.c.payload), feature_vectors.c.id
)


@dataclass(frozen=True)
class AuditReader(PredictionReader):
    """The reading half of the audit; every method raises DatabaseUnavailable."""

    def vectors_by_id(self, ids: Collection[int]) -> dict[int, Floats]:
        """The vectors as they were scored, (features,) each, NaN where a feature was null."""
        with reading(self.engine) as connection:
            return {id_: decode_vector(each) for id_, each in _PAYLOADS.rows(connection, ids)}

    def has_predictions_of(self, version: str) -> bool:
        """Whether any prediction was asked of this version."""
        query = select(predictions.c.seq).where(predictions.c.model_version == version).limit(1)
        with reading(self.engine) as connection:
            return connection.scalar(query) is not None

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
