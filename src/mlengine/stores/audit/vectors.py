"""The feature vectors behind the predictions, each stored once.

A vector is float64, little-endian, in the feature set's order, NaN where a feature was null.
Its key is the bars and the feature set; the hash of its own bits is part of it, so that a
prediction never refers to other numbers than the ones that were scored.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, select

from mlengine.core.bars.bars import BarArrays
from mlengine.core.frozen import frozen_by_types
from mlengine.core.predictions.prediction import FeatureSetRef, Prediction
from mlengine.stores.audit.windows import store_windows, window_statement
from mlengine.stores.database.engine import insert_or_ignore
from mlengine.stores.database.many_rows import SelectByKey, Writing, execute_many
from mlengine.stores.database.tables import feature_vectors


class VectorKey(NamedTuple):
    """What makes a stored vector the one of a prediction; looked up for each."""

    bars_hash: str
    feature_set_hash: str
    symbol: str
    interval: str
    bar_timestamp: datetime
    vector_hash: str


@frozen_by_types
@dataclass(frozen=True, eq=False)
class FeatureVectorRecord:
    """A vector as it was scored, and the window of bars that it was computed from.

    Of a window that is recorded, the audit keeps only by when it was.
    """

    key: VectorKey
    feature_set: FeatureSetRef
    payload: bytes
    window: BarArrays


_COLUMNS = (
    *VectorKey._fields,
    *("feature_set_name", "feature_set_version", "window_bars", "bars_recorded_by", "payload"),
)
# Built once: building it again for each prediction would cost more than running it.
READ_SAME_BARS = SelectByKey(
    select(
        feature_vectors.c.id, *(feature_vectors.c[name] for name in VectorKey._fields)
    ).with_for_update(read=True, key_share=True),  # PostgreSQL: none may vanish meanwhile
    feature_vectors.c.bars_hash,
)


def vector_statements(connection: Connection) -> list[SelectByKey | Writing]:
    """What is executed here, to be compiled ahead."""
    inserted = insert_or_ignore(connection, feature_vectors), _COLUMNS
    return [READ_SAME_BARS, window_statement(connection), inserted]


def feature_vector_record(
    prediction: Prediction, vector: npt.NDArray[np.float64], window: BarArrays
) -> FeatureVectorRecord:
    """The vector behind `prediction`, shape (features,)."""
    payload = np.asarray(vector, dtype="<f8").tobytes()
    key = VectorKey(
        prediction.bars_hash,
        prediction.feature_set.hash,
        prediction.symbol,
        prediction.interval,
        prediction.bar_timestamp,
        hashlib.sha256(payload).hexdigest(),
    )
    # Another object: predictions are cached under `window`, and must not keep it alive.
    view = BarArrays(
        window.symbol,
        window.starts,
        window.values,
        window.known_at,
        recorded_by=window.recorded_by,
    )
    return FeatureVectorRecord(key, prediction.feature_set, payload, view)


def store_vectors(
    connection: Connection, vectors: Sequence[FeatureVectorRecord]
) -> Mapping[VectorKey, int]:
    """The row id of each vector; those not there yet are written, with windows not recorded."""
    if not vectors:
        return {}
    by_key = {vector.key: vector for vector in vectors}
    if connection.dialect.name == "sqlite":
        return _store_as_only_writer(connection, by_key)
    ids = _stored_ids(connection, by_key)
    missing = [by_key[key] for key in sorted(by_key) if key not in ids]
    if missing:
        _store_copied_windows(connection, missing)
        _insert(connection, missing)
        ids = _stored_ids(connection, by_key)
    return ids


def _store_as_only_writer(
    connection: Connection, by_key: Mapping[VectorKey, FeatureVectorRecord]
) -> Mapping[VectorKey, int]:
    """As `store_vectors`; where all are new, their ids follow each other."""
    vectors = [by_key[key] for key in sorted(by_key)]
    written = _insert(connection, vectors)
    newest: int = connection.exec_driver_sql("SELECT last_insert_rowid()").scalar_one()
    if written:
        _store_copied_windows(connection, vectors)
    if written < len(vectors):
        return _stored_ids(connection, by_key)
    return {vector.key: newest - written + 1 + place for place, vector in enumerate(vectors)}


def _store_copied_windows(connection: Connection, vectors: Sequence[FeatureVectorRecord]) -> None:
    copied = [vector for vector in vectors if vector.window.recorded_by is None]
    store_windows(connection, {vector.key.bars_hash: vector.window for vector in copied})


def _insert(connection: Connection, vectors: Sequence[FeatureVectorRecord]) -> int:
    """Write those that are not there; how many, as SQLite counts them."""
    rows = [_row(vector) for vector in vectors]
    return execute_many(connection, insert_or_ignore(connection, feature_vectors), _COLUMNS, rows)


def decode_vector(payload: bytes) -> npt.NDArray[np.float64]:
    """The inverse of the stored form, bit for bit; shape (features,)."""
    return np.frombuffer(payload, "<f8").astype(np.float64)


def _stored_ids(connection: Connection, keys: Collection[VectorKey]) -> dict[VectorKey, int]:
    rows = READ_SAME_BARS.rows(connection, sorted({key.bars_hash for key in keys}))
    ids = {VectorKey._make(row[1:]): row[0] for row in rows}
    return {key: ids[key] for key in keys if key in ids}


def _row(vector: FeatureVectorRecord) -> tuple[object, ...]:
    feature_set = vector.feature_set
    named = (feature_set.name, feature_set.version, feature_set.window_bars)
    return (*vector.key, *named, vector.window.recorded_by, vector.payload)
