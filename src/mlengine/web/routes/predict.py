"""Predictions."""

from collections.abc import Mapping

from flask import Blueprint, Response, g, request

from mlengine import logs
from mlengine.bootstrap.platform import Platform
from mlengine.errors import InvalidRequest
from mlengine.services.predictions.lines import predict_lines
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.web.http import traces
from mlengine.web.http.auth import open_by_default
from mlengine.web.http.contract import says
from mlengine.web.http.problem_groups import AUDIT, BARS, SERVED_MODEL, SERVING_LINE
from mlengine.web.http.requests import asked_lines, load_body, load_query, request_time
from mlengine.web.http.responses import json_response
from mlengine.web.schemas.answers import BATCH, PREDICTION, OneOf
from mlengine.web.schemas.fields import LinesSchema
from mlengine.web.schemas.lines import LINES
from mlengine.web.schemas.predict import (
    BatchBody,
    BatchReply,
    PredictQuery,
    prediction_body,
    render_lines,
)

blueprint = Blueprint("predict", __name__)

_QUERY, _LINES_QUERY, _BATCH_BODY = PredictQuery(), LinesSchema(), BatchBody()


@blueprint.get("/predict")
@open_by_default("predict")
@says(
    query=_QUERY,
    answers={200: OneOf((PREDICTION, LINES))},
    problems=(*BARS, *SERVED_MODEL, *SERVING_LINE, *AUDIT),
)
def predict() -> Response:
    """Predict a symbol.

    With `model=a,b` by several lines, of one window of bars: the answer is that of a batch of the
    symbol. `version` and `explain` go with one line.

    The row is in the audit before the answer is sent; `HEAD` writes none. docs/glossary.md says
    what each field means.

    With `TRAIN_OBJECTIVE=return`, `expected_return` is a number, and `probability_up` and
    `confidence` are null. With `TRAIN_LABEL=cs_zscore` as well, `expected_return` is null too, and
    `expected_score` is given, which is null otherwise: how much better than the mean of all
    symbols, in standard deviations of their date. `up` then means better than that mean.

    `model_verdict` is what the training of `model_version` said of its skill on unseen dates:
    `edge`, `no_edge` or `worse` (docs/training.md). It makes no prediction unusable.

    `usable` is false when the number should not be acted on; it is given all the same. `reasons`
    then has `bar_too_old` (`MAX_BAR_AGE_BARS`), `model_too_old` (`MAX_MODEL_AGE_DAYS`) or
    `null_features` (`REQUIRE_ALL_FEATURES`). All three are off by default, except with
    `ENV=production`. With `NOVEL_ROW_LEVEL` it has `novel_row` where the features are unlike those
    of training: too many beyond their range, or too far from the rest.

    What is wrong with the bars stands in `reasons` in any case: `delisted` (after the day `to` of
    `symbols.csv`, see docs/calendars.md), and `bars_dropped`, `bars_missing`, `hole_in_window`,
    `unexplained_jump`, `repeated_bars` and `no_volume` of its window (see `GET /bars/quality`).
    With `REFUSE_SUSPECT_BARS`, as in production, they make a prediction not usable.
    """
    query = load_query(_QUERY)
    symbol = query.pop("symbol")
    asked = PredictionRequest(
        g.request_id,
        request_time(),
        **query,
        audited=request.method != "HEAD",
        trace_id=_trace_id(),
    )
    lines = asked_lines()
    if len(lines) > 1:
        return _predict_by_lines(lines, BatchReply((symbol,)), asked)
    (line,) = lines.values()
    prediction = line.predict.predict(symbol, asked)
    logs.model_version.set(prediction.model_version)
    return json_response(prediction_body(prediction))


@blueprint.post("/predict/batch")
@open_by_default("predict")
@says(
    query=_LINES_QUERY,
    body=_BATCH_BODY,
    body_required=True,
    answers={200: OneOf((BATCH, LINES))},
    problems=("upstream_unavailable", *SERVED_MODEL, *SERVING_LINE, *AUDIT),
)
def predict_batch() -> Response:
    """Predict many symbols with one model.

    One pass, one transaction. Results stand in the order of the request; a bad symbol fails alone.
    Repeats are allowed. With `model=a,b` each symbol has a result of each line, of one window of
    bars; a line that has no model fails alone, too.
    """
    load_query(_LINES_QUERY)
    body = load_body(_BATCH_BODY, required=True)
    symbols = BatchReply(tuple(body.pop("symbols")))
    asked = PredictionRequest(
        g.request_id, request_time(), **body, route="/predict/batch", trace_id=_trace_id()
    )
    lines = asked_lines()
    if len(lines) > 1:
        return _predict_by_lines(lines, symbols, asked)
    (line,) = lines.values()
    batch = line.predict.predict_batch(symbols.valid, asked)
    logs.model_version.set(batch.model_version)
    return json_response(symbols.render(batch.model_version, batch.results))


def _predict_by_lines(
    lines: Mapping[str, Platform], symbols: BatchReply, asked: PredictionRequest
) -> Response:
    refused = [name for name in ("version", "explain") if getattr(asked, name)]
    if refused:
        raise InvalidRequest({name: ["goes with one model line"] for name in refused})
    services = {name: line.predict for name, line in lines.items()}
    return json_response(render_lines(symbols, predict_lines(services, symbols.valid, asked)))


def _trace_id() -> str | None:
    return traces.audited_trace_id(g.trace.trace_id, g.request_id)
