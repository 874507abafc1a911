"""Predictions."""

from __future__ import annotations

from flask import Blueprint, Response, g

from mlengine import logs
from mlengine.web.http.auth import public
from mlengine.web.http.requests import load_body, load_query, platform, request_time
from mlengine.web.http.responses import json_response
from mlengine.web.schemas.fields import ModelLineSchema
from mlengine.web.schemas.predict import BatchBody, BatchSymbols, PredictQuery, prediction_body

blueprint = Blueprint("predict", __name__)

_QUERY, _MODEL_QUERY, _BATCH_BODY = PredictQuery(), ModelLineSchema(), BatchBody()


@blueprint.get("/predict")
@public
def predict() -> Response:
    query = load_query(_QUERY)
    prediction = platform().predict.predict(**query, request_id=g.request_id, now=request_time())
    logs.model_version.set(prediction.model_version)
    return json_response(prediction_body(prediction))


@blueprint.post("/predict/batch")
@public
def predict_batch() -> Response:
    load_query(_MODEL_QUERY)
    body = load_body(_BATCH_BODY, required=True)
    symbols = BatchSymbols(tuple(body.pop("symbols")))
    batch = platform().predict.predict_batch(
        symbols.valid, **body, request_id=g.request_id, now=request_time()
    )
    logs.model_version.set(batch.model_version)
    return json_response(symbols.render(batch.model_version, batch.results))
