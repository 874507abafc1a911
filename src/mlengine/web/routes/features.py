"""Feature tables."""

from flask import Blueprint, Response

from mlengine.web.http.auth import open_by_default
from mlengine.web.http.contract import says
from mlengine.web.http.intermediaries.caching import cacheable_response
from mlengine.web.http.problem_groups import BARS
from mlengine.web.http.requests import asked_line, load_query, request_time
from mlengine.web.http.responses import Body
from mlengine.web.schemas.answers import FEATURE_TABLE
from mlengine.web.schemas.features import FeaturesQuery, feature_table_body

blueprint = Blueprint("features", __name__)

_QUERY = FeaturesQuery()


@blueprint.get("/features")
@open_by_default("read")
@says(
    query=_QUERY,
    answers={200: FEATURE_TABLE, 304: None},
    problems=BARS,
    headers=("If-None-Match",),
)
def features() -> Body | Response:
    """The newest feature rows of a symbol.

    Rows with a full window only, oldest first. `bars_hash` covers all bars that the rows were made
    of. `nulls` counts the undefined values of each feature that has any.

    With `as_of` the answer has a strong `ETag`, and `If-None-Match` is answered with 304. Once an
    interval has passed since `as_of`, it is `Cache-Control: public, max-age=86400, immutable`;
    before, `no-cache`: a bar may still come late. Without `as_of` it is `no-store`.
    """
    query, now = load_query(_QUERY), request_time()
    table = asked_line().features.table(**query, now=now)
    body = feature_table_body(table)
    if query["as_of"] is None:
        return body
    parts = (table.symbol, table.interval, table.bars_hash, table.feature_set.hash, query["limit"])
    return cacheable_response(
        body, etag_of=parts, as_of=table.as_of, now=now, interval=table.interval
    )
