"""`/models`, one model, and what an activation did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marshmallow import Schema, fields, validate

from mlengine.web.schemas.fields import Moment, OfModel

if TYPE_CHECKING:
    from mlengine.services.models import ModelSummary


class ModelQuery(OfModel):
    """Only `model=`."""


class ActivationBody(OfModel):
    reason = fields.String(validate=validate.Length(1, 500), load_default=None)


class SummaryOut(Schema):
    """A version whose files are refused has a status and nulls."""

    version = fields.String()
    created_at = Moment(attribute="manifest.created_at", dump_default=None)
    status = fields.String()
    fingerprint = fields.String(attribute="manifest.fingerprint", dump_default=None)
    metrics = fields.Method("measured")
    is_active = fields.Boolean()

    def measured(self, summary: ModelSummary) -> object:
        """The holdout's metrics, each beside its baseline."""
        return summary.manifest.to_dict()["metrics"] if summary.manifest else None


class ModelsOut(Schema):
    active_version = fields.String()
    models = fields.List(fields.Nested(SummaryOut))


class ActivationOut(Schema):
    active_version = fields.String()
    previous_version = fields.String()
    generation = fields.Integer()
    actor = fields.String()


class LoadedOut(Schema):
    loaded_version = fields.String(attribute="version")
    fingerprint = fields.String(attribute="manifest.fingerprint")
    generation = fields.Integer()
