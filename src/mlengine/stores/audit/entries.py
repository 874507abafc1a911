"""What is audited of one answer, and the columns of its row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import ClassVar, TypeAlias

from mlengine.core.predictions.prediction import FailedPrediction, Prediction
from mlengine.stores.audit.vectors import ScoredVector
from mlengine.stores.database.tables import predictions

# All columns but those that the database gives, in the order of the table.
COLUMNS = tuple(
    str(column.name) for column in predictions.c if column.name not in ("seq", "vector_id")
)

Values: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, eq=False)
class AuditedPrediction:
    """A prediction to audit, with the vector and the bars that it was made of."""

    prediction: Prediction
    scored: ScoredVector
    route: str
    at: datetime
    ok: ClassVar[bool] = True
    nothing: ClassVar[None] = None

    @property
    def reasons(self) -> str:
        return " ".join(self.prediction.reasons)


@dataclass(frozen=True)
class AuditedFailure:
    """A prediction to audit that was asked for and not answered."""

    failure: FailedPrediction
    route: str
    at: datetime
    ok: ClassVar[bool] = False
    nothing: ClassVar[None] = None


AuditEntry: TypeAlias = AuditedPrediction | AuditedFailure


def column_values(entry: AuditEntry) -> dict[str, object]:
    """The columns of the entry's row but `seq`, which the database gives, and `vector_id`."""
    return dict(zip(COLUMNS, values_of(entry), strict=True))


def values_of(entry: AuditEntry) -> Values:
    """As `column_values`, in the order of COLUMNS."""
    values: Values = (
        _PREDICTION_VALUES(entry)
        if isinstance(entry, AuditedPrediction)
        else _FAILURE_VALUES(entry)
    )
    return values


def vector_of(entry: AuditEntry) -> ScoredVector | None:
    """The vector that the entry's row refers to; a failure has none."""
    return entry.scored if isinstance(entry, AuditedPrediction) else None


_ENTRY_PATHS = {name: name for name in ("at", "route", "ok")}
_LATENCY_PATHS = {
    f"{stage}_ms": f"latency_ms.{stage}" for stage in ("bars", "features", "model", "total")
}
_REQUEST_PATHS = {
    **{name: name for name in ("prediction_id", "request_id", "symbol", "as_of", "model_version")},
    **_LATENCY_PATHS,
}
_ERROR_PATHS = {"error_code": "error_code", "error_detail": "detail"}
_PREDICTION_PATHS = {
    name: name for name in COLUMNS if name not in {*_ENTRY_PATHS, *_ERROR_PATHS, "reasons"}
} | _LATENCY_PATHS


def _getter(own: Mapping[str, str], inner: str, of_inner: Mapping[str, str]) -> attrgetter[Values]:
    """Reads all columns of an entry in one call: its own and those of what it has as `inner`.

    A column that is in neither is null.
    """
    paths = {**dict.fromkeys(COLUMNS, "nothing"), **own}
    paths |= {name: f"{inner}.{path}" for name, path in of_inner.items()}
    return attrgetter(*(paths[name] for name in COLUMNS))


_FAILURE_VALUES = _getter(_ENTRY_PATHS, "failure", _REQUEST_PATHS | _ERROR_PATHS)
_PREDICTION_VALUES = _getter(_ENTRY_PATHS | {"reasons": "reasons"}, "prediction", _PREDICTION_PATHS)
