"""Predictions."""

from __future__ import annotations

from flask import Blueprint, g

from mlengine import logs
from mlengine.web.auth import public
from mlengine.web.requests import body, engine, moment, query
from mlengine.web.responses import Body, shown
from mlengine.web.schemas.models import ModelQuery
from mlengine.web.schemas.predict import (
    PREDICTION_OUT,
    Asked,
    BatchBody,
    PredictQuery,
)

blueprint = Blueprint("predict", __name__)

_QUERY, _BATCH_QUERY, _BATCH_BODY = PredictQuery(), ModelQuery(), BatchBody()


@blueprint.get("/predict")
@public
def predict() -> Body:
    asked = query(_QUERY)
    made = engine().predict.one(**asked, request_id=g.request_id, now=moment())
    logs.model_version.set(made.model_version)
    return shown(PREDICTION_OUT, made)


@blueprint.post("/predict/batch")
@public
def predict_batch() -> Body:
    query(_BATCH_QUERY)
    wanted = body(_BATCH_BODY, required=True)
    asked = Asked(tuple(wanted.pop("symbols")))
    batch = engine().predict.batch(asked.valid, **wanted, request_id=g.request_id, now=moment())
    logs.model_version.set(batch.model_version)
    return asked.answer(batch.model_version, batch.results)
