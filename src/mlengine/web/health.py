"""Is the process alive, and can it answer."""

from __future__ import annotations

from flask import Blueprint

from mlengine.web.auth import public
from mlengine.web.requests import engine
from mlengine.web.responses import Body, shown
from mlengine.web.schemas.health import HealthOut

blueprint = Blueprint("health", __name__)

_HEALTH = HealthOut()


@blueprint.get("/health")
@public
def health() -> Body:
    return shown(_HEALTH, engine().health.health())


@blueprint.get("/ready")
@public
def ready() -> Body:
    return {"status": "ready", "model_version": engine().health.ready()}
