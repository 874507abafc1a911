"""Feature tables."""

from flask import Blueprint, Response

from mlengine.web.http.auth import public
from mlengine.web.http.caching import cacheable_response
from mlengine.web.http.requests import load_query, platform, request_time
from mlengine.web.http.responses import Body
from mlengine.web.schemas.features import FeaturesQuery, feature_table_body

blueprint = Blueprint("features", __name__)

_QUERY = FeaturesQuery()


@blueprint.get("/features")
@public
def features() -> Body | Response:
    query, now = load_query(_QUERY), request_time()
    table = platform().features.table(**query, now=now)
    body = feature_table_body(table)
    if query["as_of"] is None:
        return body
    parts = (table.symbol, table.interval, table.bars_hash, table.feature_set.hash, query["limit"])
    return cacheable_response(
        body, etag_of=parts, as_of=table.as_of, now=now, interval=table.interval
    )
