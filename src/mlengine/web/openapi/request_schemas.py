"""What apispec can't know of this platform's own marshmallow fields."""

from __future__ import annotations

from typing import Any

from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import fields

from mlengine.core.bars.symbols import LONGEST_SYMBOL
from mlengine.web.schemas.fields import (
    AsOfField,
    Pattern,
    QueryFlag,
    QueryInteger,
    Symbol,
    TimeBound,
)


def describe_fields(converter: OpenAPIConverter) -> None:
    """Teach `converter` their types, patterns and bounds."""
    types = {
        QueryInteger: "integer",
        QueryFlag: "boolean",
        AsOfField: "string",
        TimeBound: "string",
    }
    for kind, name in types.items():
        converter.map_to_openapi_type(kind, name, None)  # type: ignore[no-untyped-call]
    converter.add_attribute_function(_bounds_of_text)  # type: ignore[no-untyped-call]


def _bounds_of_text(_: object, field: fields.Field[Any], **__: object) -> dict[str, Any]:
    """What is printable, as a symbol must be, is no matter of a pattern."""
    if isinstance(field, Pattern):
        return {"pattern": f"^{field.pattern.pattern}$"}
    if isinstance(field, Symbol):
        return {"minLength": 1, "maxLength": LONGEST_SYMBOL}
    if isinstance(field, AsOfField | TimeBound):
        return {"anyOf": [{"format": "date-time"}, {"format": "date"}]}
    return {}
