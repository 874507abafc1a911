"""Drift, history, freshness, latency."""

from __future__ import annotations

from flask import Blueprint

from mlengine.web.http.auth import public
from mlengine.web.http.requests import moment, platform, query
from mlengine.web.http.responses import Body, shown
from mlengine.web.schemas import monitoring as schemas

blueprint = Blueprint("monitoring", __name__, url_prefix="/monitoring")

_DRIFT_QUERY, _DRIFT = schemas.DriftQuery(), schemas.DriftOut()
_HISTORY_QUERY, _HISTORY = schemas.HistoryQuery(), schemas.HistoryOut()
_FRESHNESS_QUERY, _FRESHNESS = schemas.FreshnessQuery(), schemas.FreshnessOut()
_LATENCY_QUERY, _LATENCY = schemas.LatencyQuery(), schemas.LatencyOut()


@blueprint.get("/drift")
@public
def drift() -> Body:
    return shown(_DRIFT, platform().monitoring.drift(**query(_DRIFT_QUERY), now=moment()))


@blueprint.get("/history")
@public
def history() -> Body:
    return shown(_HISTORY, platform().monitoring.history(**query(_HISTORY_QUERY)))


@blueprint.get("/freshness")
@public
def freshness() -> Body:
    query(_FRESHNESS_QUERY)
    return shown(_FRESHNESS, platform().monitoring.freshness(now=moment()))


@blueprint.get("/latency")
@public
def latency() -> Body:
    window = query(_LATENCY_QUERY)["window"]
    return shown(_LATENCY, platform().monitoring.latency(window_seconds=window, now=moment()))
