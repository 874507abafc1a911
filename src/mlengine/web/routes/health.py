"""Is the process alive, and can it answer."""

from __future__ import annotations

from flask import Blueprint

from mlengine.web.http.auth import public
from mlengine.web.http.requests import platform
from mlengine.web.http.responses import Body, render
from mlengine.web.schemas.health import HealthOut

blueprint = Blueprint("health", __name__)

_HEALTH = HealthOut()


@blueprint.get("/health")
@public
def health() -> Body:
    return render(_HEALTH, platform().health.health())


@blueprint.get("/ready")
@public
def ready() -> Body:
    return {"status": "ready", "model_version": platform().health.ready()}
