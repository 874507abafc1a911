"""`/features`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlengine.web.schemas.fields import (
    AsOfSchema,
    FeatureSetName,
    QueryInteger,
    Symbol,
)

if TYPE_CHECKING:
    from mlengine.services.features.service import FeatureTable

MAX_ROWS = 5000


class FeaturesQuery(AsOfSchema):
    symbol = Symbol(required=True)
    limit = QueryInteger(1, MAX_ROWS, load_default=100, metadata={"description": "rows"})
    feature_set = FeatureSetName(
        load_default=None, metadata={"description": "`TRAIN_FEATURE_SET` without it"}
    )


def feature_table_body(table: FeatureTable) -> dict[str, Any]:
    """One object a bar, oldest first; times and NaN are the encoder's to write."""
    body = {**vars(table), "nulls": table.nulls, "features": table.rows.to_dicts()}
    del body["rows"]
    return body
