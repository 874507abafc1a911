"""Drift, history, freshness, latency."""

from __future__ import annotations

from flask import Blueprint

from mlengine.web.http.auth import public
from mlengine.web.http.requests import load_query, platform, request_time
from mlengine.web.http.responses import Body, render
from mlengine.web.schemas import monitoring as schemas
from mlengine.web.schemas.fields import ModelLineSchema

blueprint = Blueprint("monitoring", __name__, url_prefix="/monitoring")

_DRIFT_QUERY, _DRIFT = schemas.DriftQuery(), schemas.DriftOut()
_HISTORY_QUERY, _HISTORY = schemas.HistoryQuery(), schemas.HistoryOut()
_MODEL_QUERY, _FRESHNESS = ModelLineSchema(), schemas.FreshnessOut()
_LATENCY_QUERY, _LATENCY = schemas.LatencyQuery(), schemas.LatencyOut()


@blueprint.get("/drift")
@public
def drift() -> Body:
    query = load_query(_DRIFT_QUERY)
    return render(_DRIFT, platform().monitoring.drift(**query, now=request_time()))


@blueprint.get("/history")
@public
def history() -> Body:
    return render(_HISTORY, platform().monitoring.history(**load_query(_HISTORY_QUERY)))


@blueprint.get("/freshness")
@public
def freshness() -> Body:
    load_query(_MODEL_QUERY)
    return render(_FRESHNESS, platform().monitoring.freshness(now=request_time()))


@blueprint.get("/latency")
@public
def latency() -> Body:
    window = load_query(_LATENCY_QUERY)["window"]
    latencies = platform().monitoring.latency(window_seconds=window, now=request_time())
    return render(_LATENCY, latencies)
