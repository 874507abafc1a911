"""Drift, history, freshness, latency."""

from flask import Blueprint, Response, jsonify

from mlengine.web.http.auth import public
from mlengine.web.http.requests import load_query, platform, request_time
from mlengine.web.http.responses import Body
from mlengine.web.schemas.fields import RequestSchema
from mlengine.web.schemas.monitoring import DriftQuery, HistoryQuery, LatencyQuery

blueprint = Blueprint("monitoring", __name__, url_prefix="/monitoring")

_DRIFT_QUERY, _LATENCY_QUERY, _MODEL_QUERY = DriftQuery(), LatencyQuery(), RequestSchema()
_HISTORY_QUERY = HistoryQuery()
_EVENT_FIELDS = ("kind", "at", "version", "actor", "details")


@blueprint.get("/drift")
@public
def drift() -> Response:
    query = load_query(_DRIFT_QUERY)
    return jsonify(platform().monitoring.drift(**query, now=request_time()))


@blueprint.get("/history")
@public
def history() -> Body:
    page = platform().monitoring.history(**load_query(_HISTORY_QUERY))
    events = [{name: getattr(event, name) for name in _EVENT_FIELDS} for event in page.rows]
    return {"events": events, "next_cursor": page.next_cursor}


@blueprint.get("/freshness")
@public
def freshness() -> Response:
    load_query(_MODEL_QUERY)
    return jsonify(platform().monitoring.freshness(now=request_time()))


@blueprint.get("/latency")
@public
def latency() -> Response:
    window = load_query(_LATENCY_QUERY)["window"]
    return jsonify(platform().monitoring.latency(window_seconds=window, now=request_time()))
