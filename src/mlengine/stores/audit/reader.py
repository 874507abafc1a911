"""What is read from the audit: single rows, and the raw material of monitoring."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import polars as pl
from sqlalchemy import select

from mlengine.core.arrays import Floats
from mlengine.errors import DamagedRow
from mlengine.stores.audit.live_bars import LiveBarReader
from mlengine.stores.audit.prediction_reader import PredictionReader
from mlengine.stores.audit.vectors import decode_vector
from mlengine.stores.database.archive.reading import archived_rows
from mlengine.stores.database.archive.selection import Selection
from mlengine.stores.database.engine import reading
from mlengine.stores.database.many_rows import SelectByKey
from mlengine.stores.database.tables import feature_vectors, predictions

_PAYLOADS = SelectByKey(
    select(feature_vectors.c.id, feature_vectors.c.payload), feature_vectors.c.id
)


@dataclass(frozen=True)
class AuditReader(PredictionReader, LiveBarReader):
    """The reading half of the audit; every method raises DatabaseUnavailable."""

    def vectors_by_id(self, ids: Collection[int]) -> dict[int, Floats]:
        """The vectors as they were scored, (features,) each, NaN where a feature was null."""
        with reading(self.engine) as connection:
            found = {id_: decode_vector(each) for id_, each in _PAYLOADS.rows(connection, ids)}
        missing = [each for each in ids if each not in found]
        if missing:
            vector = feature_vectors.c
            query = select(vector.id, vector.payload).where(vector.id.in_(missing))
            archived = archived_rows(self.engine, query, Selection(among={"vector_id": missing}))
            found |= {row.id: decode_vector(row.payload) for row in archived}
        return found

    def has_predictions_of(self, version: str) -> bool:
        """Whether any prediction was asked of this version."""
        query = select(predictions.c.seq).where(predictions.c.model_version == version).limit(1)
        with reading(self.engine) as connection:
            if connection.scalar(query) is not None:
                return True
        meant = Selection(among={"model_version": [version]}, oldest=1)
        return bool(archived_rows(self.engine, query, meant))


@contextmanager
def _damage_told() -> Iterator[None]:
    """Raises DamagedRow where values have not the types of their columns."""
    try:
        yield
    except (TypeError, ValueError, pl.exceptions.PolarsError):
        raise DamagedRow from None
