"""Feature tables."""

from __future__ import annotations

from flask import Blueprint

from mlengine.web.auth import public
from mlengine.web.requests import engine, moment, query
from mlengine.web.responses import Body, shown
from mlengine.web.schemas.features import FeaturesQuery, FeatureTableOut

blueprint = Blueprint("features", __name__)

_QUERY, _TABLE = FeaturesQuery(), FeatureTableOut()


@blueprint.get("/features")
@public
def features() -> Body:
    asked = query(_QUERY)
    return shown(_TABLE, engine().features.table(**asked, now=moment()))
