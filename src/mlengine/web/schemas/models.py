"""What the routes of `/models` take."""

from marshmallow import fields, validate

from mlengine.web.schemas.fields import RequestSchema, Version


class ComparisonQuery(RequestSchema):
    a = Version(required=True)
    b = Version(required=True)


class ActivationBody(RequestSchema):
    reason = fields.String(validate=validate.Length(1, 500), load_default=None)
