"""Versions: which there are, how each came to be, which one serves."""

from __future__ import annotations

from flask import Blueprint, g

from mlengine.web.http.auth import public, public_activation
from mlengine.web.http.requests import body, moment, platform, query
from mlengine.web.http.responses import Body, shown
from mlengine.web.schemas.fields import path_version
from mlengine.web.schemas.models import (
    ActivationBody,
    ActivationOut,
    ComparisonOut,
    ModelQuery,
    ModelsOut,
    PairQuery,
)

blueprint = Blueprint("models", __name__)

_QUERY, _MODELS = ModelQuery(), ModelsOut()
_PAIR, _COMPARISON = PairQuery(), ComparisonOut()
_BODY, _ACTIVATION = ActivationBody(), ActivationOut()


@blueprint.get("/models")
@public
def models() -> Body:
    query(_QUERY)
    return shown(_MODELS, platform().models.list())


@blueprint.get("/models/compare")
@public
def compare() -> Body:
    asked = query(_PAIR)
    return shown(_COMPARISON, platform().models.compare(asked["a"], asked["b"]))


@blueprint.get("/models/<version:version>")
@blueprint.get("/model/<version:version>")
@public
def model(version: str) -> Body:
    query(_QUERY)
    manifest, is_active = platform().models.get(path_version(version))
    return {**manifest.to_dict(), "is_active": is_active}


@blueprint.post("/models/activate/<version:version>")
@public_activation
def activate(version: str) -> Body:
    return activated(version)


def activated(version: str) -> Body:
    """Activate what the path names, for `g.actor`; the admin route shares it."""
    query(_QUERY)
    reason = body(_BODY)["reason"] or "asked over HTTP"
    done = platform().models.activate(
        path_version(version), actor=g.actor, reason=reason, now=moment()
    )
    return shown(_ACTIVATION, done)
