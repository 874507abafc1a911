"""`/health`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marshmallow import Schema, fields

if TYPE_CHECKING:
    from mlengine.services.monitoring.health import Health


class AuditSpoolOut(Schema):
    files = fields.Integer()
    bytes = fields.Integer()
    spooled_rows = fields.Integer()


class HealthOut(Schema):
    status = fields.String()
    version = fields.String()
    env = fields.String()
    model = fields.Method("versions")
    checks = fields.Dict(keys=fields.String(), values=fields.String())
    audit_spool = fields.Nested(AuditSpoolOut)

    def versions(self, health: Health) -> dict[str, str | None]:
        """What `ACTIVE` names, and what this process serves."""
        return {"active_version": health.active_version, "loaded_version": health.loaded_version}
