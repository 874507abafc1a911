"""What the routes of `/models` take."""

from marshmallow import fields, validate

from mlengine.web.schemas.fields import ModelParameterSchema, Version


class ComparisonQuery(ModelParameterSchema):
    a = Version(required=True)
    b = Version(required=True)


class ActivationBody(ModelParameterSchema):
    reason = fields.String(validate=validate.Length(1, 500), load_default=None)
