"""Predictions."""

from __future__ import annotations

from flask import Blueprint, Response, g, request

from mlengine import logs
from mlengine.web.http.auth import public
from mlengine.web.http.requests import body, moment, platform, query
from mlengine.web.http.responses import sent
from mlengine.web.schemas.models import ModelQuery
from mlengine.web.schemas.predict import (
    Asked,
    BatchBody,
    PredictQuery,
    prediction_body,
)
from mlengine.web.serving.fast_path import failure_of

blueprint = Blueprint("predict", __name__)

_QUERY, _BATCH_QUERY, _BATCH_BODY = PredictQuery(), ModelQuery(), BatchBody()


@blueprint.get("/predict")
@public
def predict() -> Response:
    failed = failure_of(request.environ)
    if failed:
        raise failed
    asked = query(_QUERY)
    made = platform().predict.predict(**asked, request_id=g.request_id, now=moment())
    logs.model_version.set(made.model_version)
    return sent(prediction_body(made))


@blueprint.post("/predict/batch")
@public
def predict_batch() -> Response:
    query(_BATCH_QUERY)
    wanted = body(_BATCH_BODY, required=True)
    asked = Asked(tuple(wanted.pop("symbols")))
    batch = platform().predict.predict_batch(
        asked.valid, **wanted, request_id=g.request_id, now=moment()
    )
    logs.model_version.set(batch.model_version)
    return sent(asked.answer(batch.model_version, batch.results))
