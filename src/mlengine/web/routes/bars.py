"""The bars behind all answers."""

from flask import Blueprint, Response, jsonify

from mlengine.web.http.auth import public
from mlengine.web.http.requests import load_query, platform, request_time
from mlengine.web.schemas.bars import QualityQuery

blueprint = Blueprint("bars", __name__, url_prefix="/bars")

_QUALITY_QUERY = QualityQuery()


@blueprint.get("/quality")
@public
def quality() -> Response:
    query = load_query(_QUALITY_QUERY)
    return jsonify(platform().bar_quality.check_training_bars(**query, now=request_time()))
