"""A row of the audit as a line of JSON, and back, to the last bit."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from mlengine.core import serialization
from mlengine.core.predictions.prediction import FeatureSetRef
from mlengine.core.timestamps import parse_rfc3339, rfc3339
from mlengine.stores.audit.vectors import FeatureVectorRecord, VectorKey
from mlengine.stores.audit.windows import decode_window
from mlengine.stores.database.tables import UtcDateTime, predictions

_TYPES = {
    c.name: datetime if isinstance(c.type, UtcDateTime) else c.type.python_type
    for c in predictions.c
}
_MOST_INTEGER = 2**63 - 1


@dataclass(frozen=True, eq=False)
class SpooledRow:
    """The columns of a prediction but `seq` and `vector_id`, and the vector that it refers to."""

    columns: Mapping[str, object]
    vector: FeatureVectorRecord | None


def dump_line(rows: Sequence[SpooledRow]) -> bytes:
    """One line, its end included, for the rows of one answer."""
    plain = [
        {"columns": _dump_columns(row.columns), "vector": _dump_vector(row.vector)} for row in rows
    ]
    return orjson.dumps(plain, option=orjson.OPT_APPEND_NEWLINE)


def parse_line(line: bytes) -> list[SpooledRow]:
    """The inverse of `dump_line`; raises ValueError on anything else.

    A column that this platform's table does not have is refused, and so is a value that is none of
    the column's; a column that the line does not have is null.
    """
    try:
        return [
            SpooledRow(_parse_columns(row["columns"]), _parse_vector(row["vector"]))
            for row in orjson.loads(line)
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a line of the audit's spool") from error


def _dump_columns(columns: Mapping[str, object]) -> dict[str, object]:
    return {
        name: rfc3339(value) if isinstance(value, datetime) else value
        for name, value in columns.items()
    }


def _parse_columns(columns: Mapping[str, Any]) -> dict[str, object]:
    unknown = columns.keys() - _TYPES.keys()
    if unknown:
        raise ValueError(f"no column of the audit: {', '.join(sorted(unknown))}")
    return {
        name: None if value is None else _parse_value(_TYPES[name], value)
        for name, value in columns.items()
    }


def _parse_value(kind: type, value: object) -> object:
    """A value of a column whose values are of `kind`; raises ValueError on another one."""
    if kind is datetime and isinstance(value, str):
        return parse_rfc3339(value)
    if kind is float and type(value) is int:
        return float(value)
    is_stored_whole = kind is not int or -_MOST_INTEGER <= value <= _MOST_INTEGER  # type: ignore[operator]
    if type(value) is kind and is_stored_whole:
        return value
    raise ValueError("a value of another type")


def _dump_vector(vector: FeatureVectorRecord | None) -> dict[str, object] | None:
    if vector is None:
        return None
    window = vector.window
    return {
        "key": _dump_columns(vector.key._asdict()),
        "feature_set": vars(vector.feature_set),
        "payload": _base64(vector.payload),
        "window": {"rows": window.rows, "payload": _base64(window.payload)},
    }


def _parse_vector(vector: Mapping[str, Any] | None) -> FeatureVectorRecord | None:
    if vector is None:
        return None
    texts: dict[str, Any] = {name: _parse_value(str, text) for name, text in vector["key"].items()}
    key = VectorKey(**{**texts, "bar_timestamp": parse_rfc3339(texts["bar_timestamp"])})
    window = vector["window"]
    return FeatureVectorRecord(
        key,
        serialization.from_plain(FeatureSetRef, vector["feature_set"]),
        base64.b64decode(vector["payload"], validate=True),
        decode_window(key.symbol, window["rows"], base64.b64decode(window["payload"])),
    )


def _base64(payload: bytes) -> str:
    return base64.b64encode(payload).decode()
