"""Is the process alive, and can it answer."""

from flask import Blueprint

from mlengine.web.http.auth import public
from mlengine.web.http.requests import platform
from mlengine.web.http.responses import Body

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
@public
def health() -> Body:
    body = dict(vars(platform().health.health()))
    versions = {name: body.pop(name) for name in ("active_version", "loaded_version")}
    return {**body, "model": versions}


@blueprint.get("/ready")
@public
def ready() -> Body:
    return {"status": "ready", "model_version": platform().health.ready()}
