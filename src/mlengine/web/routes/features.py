"""Feature tables."""

from __future__ import annotations

from flask import Blueprint, Response

from mlengine.web.http.auth import public
from mlengine.web.http.caching import as_of_answer
from mlengine.web.http.requests import moment, platform, query
from mlengine.web.http.responses import Body, shown
from mlengine.web.schemas.features import FeaturesQuery, FeatureTableOut

blueprint = Blueprint("features", __name__)

_QUERY, _TABLE = FeaturesQuery(), FeatureTableOut()


@blueprint.get("/features")
@public
def features() -> Body | Response:
    asked = query(_QUERY)
    table = platform().features.table(**asked, now=moment())
    body = shown(_TABLE, table)
    if asked["as_of"] is None:
        return body
    facts = (table.symbol, table.interval, table.bars_hash, table.feature_set.hash, asked["limit"])
    return as_of_answer(
        body, facts=facts, as_of=asked["as_of"], moment=moment(), interval=table.interval
    )
