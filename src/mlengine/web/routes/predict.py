"""Predictions."""

from flask import Blueprint, Response, g

from mlengine import logs
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.web.http.auth import public
from mlengine.web.http.requests import load_body, load_query, platform, request_time
from mlengine.web.http.responses import json_response
from mlengine.web.schemas.fields import RequestSchema
from mlengine.web.schemas.predict import BatchBody, BatchReply, PredictQuery, prediction_body

blueprint = Blueprint("predict", __name__)

_QUERY, _MODEL_QUERY, _BATCH_BODY = PredictQuery(), RequestSchema(), BatchBody()


@blueprint.get("/predict")
@public
def predict() -> Response:
    query = load_query(_QUERY)
    symbol = query.pop("symbol")
    request = PredictionRequest(g.request_id, request_time(), **query)
    prediction = platform().predict.predict(symbol, request)
    logs.model_version.set(prediction.model_version)
    return json_response(prediction_body(prediction))


@blueprint.post("/predict/batch")
@public
def predict_batch() -> Response:
    load_query(_MODEL_QUERY)
    body = load_body(_BATCH_BODY, required=True)
    symbols = BatchReply(tuple(body.pop("symbols")))
    request = PredictionRequest(g.request_id, request_time(), **body, route="/predict/batch")
    batch = platform().predict.predict_batch(symbols.valid, request)
    logs.model_version.set(batch.model_version)
    return json_response(symbols.render(batch.model_version, batch.results))
