"""`/bars`."""

from mlengine.web.schemas.fields import RequestSchema, Symbol


class QualityQuery(RequestSchema):
    symbol = Symbol(required=True)
