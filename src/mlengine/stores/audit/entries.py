"""What is audited of one answer, and the columns of its row."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import ClassVar, TypeAlias

from mlengine.core.frozen import frozen_by_types
from mlengine.core.predictions.prediction import FailedPrediction, Latency, Prediction
from mlengine.stores.audit.vectors import FeatureVectorRecord
from mlengine.stores.database.tables import predictions

# All columns but those that the database gives, in the order of the table.
COLUMNS = tuple(str(c.name) for c in predictions.c if c.name not in ("seq", "vector_id"))

Values: TypeAlias = tuple[object, ...]


@frozen_by_types
@dataclass(frozen=True, eq=False)
class AuditedPrediction:
    """A prediction to audit, with the vector and the bars that it was made of."""

    prediction: Prediction
    scored: FeatureVectorRecord
    route: str
    at: datetime
    trace_id: str | None = None
    ok: ClassVar[bool] = True
    _null: ClassVar[None] = None

    @property
    def reasons(self) -> str:
        return " ".join(self.prediction.reasons)


@dataclass(frozen=True)
class AuditedFailure:
    """A prediction to audit that was asked for and not answered."""

    failure: FailedPrediction
    route: str
    at: datetime
    trace_id: str | None = None
    scored: ClassVar[None] = None
    ok: ClassVar[bool] = False
    _null: ClassVar[None] = None


AuditEntry: TypeAlias = AuditedPrediction | AuditedFailure


def entry_dict(entry: AuditEntry) -> dict[str, object]:
    """The columns of the entry's row but `seq`, which the database gives, and `vector_id`."""
    return dict(zip(COLUMNS, entry_tuple(entry), strict=True))


def entry_tuple(entry: AuditEntry) -> Values:
    """As `entry_dict`, in the order of COLUMNS."""
    read = _READ_PREDICTION if isinstance(entry, AuditedPrediction) else _READ_FAILURE
    values: Values = read(entry)
    return values


_ATTRIBUTES = {f"{field.name}_ms": f"latency_ms.{field.name}" for field in fields(Latency)}
_ATTRIBUTES["error_detail"] = "detail"
_ATTRIBUTES["model_version"] = "model_key"


def _reader(own: Collection[str], inner: str, kind: type) -> attrgetter[Values]:
    """Reads all columns of an entry in one call: its `own` and those of its `inner`, a `kind`.

    A column that is in neither is null.
    """
    names = {"model_key", *(field.name for field in fields(kind))}

    def path(column: str) -> str:
        if column in own:
            return column
        attribute = _ATTRIBUTES.get(column, column)
        return f"{inner}.{attribute}" if attribute.partition(".")[0] in names else "_null"

    return attrgetter(*map(path, COLUMNS))


_READ_FAILURE = _reader(("at", "route", "ok", "trace_id"), "failure", FailedPrediction)
_READ_PREDICTION = _reader(("at", "route", "ok", "reasons", "trace_id"), "prediction", Prediction)
