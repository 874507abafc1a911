"""What the routes of `/models` take."""

from __future__ import annotations

from marshmallow import fields, validate

from mlengine.web.schemas.fields import ModelLineSchema, Version


class ComparisonQuery(ModelLineSchema):
    a = Version(required=True)
    b = Version(required=True)


class ActivationBody(ModelLineSchema):
    reason = fields.String(validate=validate.Length(1, 500), load_default=None)
