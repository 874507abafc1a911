"""Feature tables."""

from __future__ import annotations

from flask import Blueprint, Response

from mlengine.web.auth import public
from mlengine.web.caching import as_of_answer
from mlengine.web.requests import engine, moment, query
from mlengine.web.responses import Body, shown
from mlengine.web.schemas.features import FeaturesQuery, FeatureTableOut

blueprint = Blueprint("features", __name__)

_QUERY, _TABLE = FeaturesQuery(), FeatureTableOut()


@blueprint.get("/features")
@public
def features() -> Body | Response:
    asked = query(_QUERY)
    table = engine().features.table(**asked, now=moment())
    body = shown(_TABLE, table)
    if asked["as_of"] is None:
        return body
    facts = (table.symbol, table.interval, table.bars_hash, table.feature_set.hash, asked["limit"])
    return as_of_answer(
        body, facts=facts, as_of=asked["as_of"], moment=moment(), interval=table.interval
    )
