"""The query of `/events`."""

from typing import Any

from marshmallow import ValidationError, fields

from mlengine.core.monitoring.messages import ALL_TYPES, is_type_or_family
from mlengine.web.schemas.fields import RequestSchema

_LONGEST = 1000


class TypeList(fields.Field[tuple[str, ...]]):
    """Types of messages, or families such as `model.*`, with commas between them."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> tuple[str, ...]:  # noqa: ARG002
        types = tuple(part.strip() for part in str(value)[:_LONGEST].split(","))
        if not all(is_type_or_family(each) for each in types):
            raise ValidationError(f"must be some of {', '.join(ALL_TYPES)}, by commas")
        return types


class EventsQuery(RequestSchema):
    types = TypeList(
        load_default=(),
        metadata={"description": "only these types, by commas, or families such as `model.*`"},
    )
