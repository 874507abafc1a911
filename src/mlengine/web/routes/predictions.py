"""The audited predictions: the recent ones, one by its id, and its replay."""

from flask import Blueprint, g

from mlengine.stores.audit.filter import AuditFilter
from mlengine.web.http.auth import admin_required, public
from mlengine.web.http.requests import load_body, load_query, platform, request_time
from mlengine.web.http.responses import Body
from mlengine.web.schemas.fields import RequestSchema, prediction_id_of_path
from mlengine.web.schemas.predictions import RecentQuery, ReplayBody, audit_row_body

blueprint = Blueprint("predictions", __name__, url_prefix="/predictions")

_MODEL_QUERY, _RECENT_QUERY, _REPLAY_BODY = RequestSchema(), RecentQuery(), ReplayBody()


@blueprint.get("/recent")
@public
def recent() -> Body:
    audit, query = platform().audit, load_query(_RECENT_QUERY)
    limit, cursor = query.pop("limit"), query.pop("cursor")
    page = audit.recent(AuditFilter(**query), limit=limit, cursor=cursor)
    rows = [audit_row_body(row) for row in page.rows]
    return {"predictions": rows, "next_cursor": page.next_cursor, "spooled": audit.spooled}


@blueprint.get("/<prediction_id>")
@public
def prediction(prediction_id: str) -> Body:
    load_query(_MODEL_QUERY)
    return audit_row_body(platform().audit.get(prediction_id_of_path(prediction_id)))


@blueprint.post("/<prediction_id>/replay")
@admin_required
def replay(prediction_id: str) -> Body:
    load_query(_MODEL_QUERY)
    result = platform().replay.replay(
        prediction_id_of_path(prediction_id),
        check_upstream=load_body(_REPLAY_BODY)["upstream"],
        actor=g.actor,
        request_id=g.request_id,
        now=request_time(),
    )
    return {**vars(result), "actor": g.actor}
