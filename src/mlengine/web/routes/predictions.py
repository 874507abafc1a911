"""What was predicted: recent, by its id, and made again."""

from __future__ import annotations

from flask import Blueprint, g

from mlengine.web.http.auth import admin_required, public
from mlengine.web.http.requests import body, moment, platform, query
from mlengine.web.http.responses import Body, shown
from mlengine.web.schemas.fields import path_prediction
from mlengine.web.schemas.predictions import (
    PredictionQuery,
    RecentOut,
    RecentQuery,
    RecentRowOut,
    ReplayBody,
    ReplayedOut,
)

blueprint = Blueprint("predictions", __name__, url_prefix="/predictions")

_QUERY, _RECENT_QUERY, _REPLAY_BODY = PredictionQuery(), RecentQuery(), ReplayBody()
_RECENT, _ROW, _REPLAYED = RecentOut(), RecentRowOut(), ReplayedOut()


@blueprint.get("/recent")
@public
def recent() -> Body:
    audit = platform().audit
    page = audit.recent(**query(_RECENT_QUERY))
    return {**shown(_RECENT, page), "spooled": audit.spooled}


@blueprint.get("/<prediction_id>")
@public
def prediction(prediction_id: str) -> Body:
    query(_QUERY)
    return shown(_ROW, platform().audit.get(path_prediction(prediction_id)))


@blueprint.post("/<prediction_id>/replay")
@admin_required
def replay(prediction_id: str) -> Body:
    query(_QUERY)
    replayed = platform().replay.replay(
        path_prediction(prediction_id),
        check_upstream=body(_REPLAY_BODY)["upstream"],
        actor=g.actor,
        request_id=g.request_id,
        now=moment(),
    )
    return {**shown(_REPLAYED, replayed), "actor": g.actor}
