"""Versions: which there are, how each came to be, which one serves."""

from flask import Blueprint, Response, g, jsonify

from mlengine.web.http.auth import public, public_activation
from mlengine.web.http.requests import load_body, load_query, platform, request_time
from mlengine.web.http.responses import Body
from mlengine.web.schemas.fields import RequestSchema, version_of_path
from mlengine.web.schemas.models import ActivationBody, ComparisonQuery

blueprint = Blueprint("models", __name__)

_MODEL_QUERY, _COMPARISON_QUERY = RequestSchema(), ComparisonQuery()
_ACTIVATION_BODY = ActivationBody()


@blueprint.get("/models")
@public
def models() -> Response:
    load_query(_MODEL_QUERY)
    return jsonify(platform().models.list())


@blueprint.get("/models/compare")
@public
def compare() -> Response:
    return jsonify(platform().models.compare(**load_query(_COMPARISON_QUERY)))


@blueprint.get("/models/<version:version>")
@blueprint.get("/model/<version:version>")
@public
def model(version: str) -> Body:
    load_query(_MODEL_QUERY)
    manifest, is_active = platform().models.get(version_of_path(version))
    return {**manifest.to_dict(), "is_active": is_active}


@blueprint.post("/models/activate/<version:version>")
@public_activation
def activate(version: str) -> Response:
    return activation_response(version)


def activation_response(version: str) -> Response:
    """Activate what the path names, for `g.actor`; the admin route shares it."""
    load_query(_MODEL_QUERY)
    reason = load_body(_ACTIVATION_BODY)["reason"] or "asked over HTTP"
    activation = platform().models.activate(
        version_of_path(version), actor=g.actor, reason=reason, now=request_time()
    )
    return jsonify(activation)
