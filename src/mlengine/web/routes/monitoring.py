"""Drift, performance, history, freshness, latency."""

from flask import Blueprint, Response, jsonify

from mlengine.core.outcomes.report import Performance
from mlengine.services.monitoring.drift import ModelDrift
from mlengine.services.monitoring.service import Freshness
from mlengine.services.overview.service import Overview
from mlengine.services.telemetry.latencies import Latencies
from mlengine.web.http.auth import open_by_default
from mlengine.web.http.contract import says
from mlengine.web.http.problem_groups import AUDIT, SERVED_MODEL
from mlengine.web.http.requests import asked_line, load_query, platform, request_time
from mlengine.web.http.responses import Body
from mlengine.web.schemas.answers import HISTORY
from mlengine.web.schemas.fields import RequestSchema
from mlengine.web.schemas.monitoring import (
    DriftQuery,
    HistoryQuery,
    LatencyQuery,
    PerformanceQuery,
)

blueprint = Blueprint("monitoring", __name__, url_prefix="/monitoring")

_DRIFT_QUERY, _LATENCY_QUERY, _MODEL_QUERY = DriftQuery(), LatencyQuery(), RequestSchema()
_HISTORY_QUERY, _PERFORMANCE_QUERY = HistoryQuery(), PerformanceQuery()
_EVENT_FIELDS = ("kind", "at", "model", "version", "actor", "details")


@blueprint.get("")
@open_by_default("read")
@says(
    query=_MODEL_QUERY,
    answers={200: Overview},
    problems=("model_not_found", "no_active_model", "artifact_corrupt", *AUDIT),
)
def overview() -> Response:
    """Can the active model be trusted: all that monitoring knows, in short.

    `status` is `ok` where nothing speaks against the model, else `look` for `reasons`:
    `model_too_old` or `model_ageing` (`MAX_MODEL_AGE_DAYS`); `no_edge_in_training`, where live
    dates have proven none since; `skill_lost`, which is said of a model that keeps its skill in at
    most one of twenty cases within five years; `drift_alarm`, which without a cause rings once in
    `false_alarm_years`; `frozen_features`; `stale_feeds`; and `monitoring_behind`, where what is
    told here is over half an hour old. The other routes below `/monitoring` have the details.
    """
    load_query(_MODEL_QUERY)
    return jsonify(asked_line().overview.overview(now=request_time()))


@blueprint.get("/drift")
@open_by_default("read")
@says(query=_DRIFT_QUERY, answers={200: ModelDrift}, problems=(*SERVED_MODEL, *AUDIT))
def drift() -> Response:
    """How far what was served has moved from what was trained on.

    Compares the feature vectors and scores of live requests (less than a bar after their `as_of`)
    with those of the training. A bar counts once, however often it was asked for; the worker counts
    within a minute, and `updated_at` says when. The window is cut to whole dates, as many as
    windows of training were compared by: `dates`, 5 to 120.

    `status` is that of one figure: `score`, the largest of all features and measures, against
    `threshold`, which windows of training pass in 5 % (`false_alarm_rate`). It is `ok` or `drift`;
    `insufficient_data` under 50 rows that differ, with null figures; and `uncalibrated` for a
    `reason`: `no_calibration` (the version was trained before there was one), `window_too_short`,
    `window_too_long`, `too_few_windows`, `past_differs` (years of training differ as much from each
    other), `few_symbols` (under half the rows a date that training had). Of a feature, `threshold`
    is that of `psi` and `drifted` says that one of both statistics passed its own: a map to look
    at, since one feature of many always does. Raw price levels are not watched, and null.

    What is looked at again and again needs another threshold: see `alarm`, and docs/operations.md.
    `log_loss` is an estimate from calibrated probabilities, without outcomes. `mode=evidently` adds
    the scores that Evidently 0.7 gives against a sketch of training, of 20,000 rows at most.
    """
    query = load_query(_DRIFT_QUERY)
    return jsonify(asked_line().drift.drift(**query, now=request_time()))


@blueprint.get("/performance")
@open_by_default("read")
@says(
    query=_PERFORMANCE_QUERY,
    answers={200: Performance},
    problems=("model_not_found", "no_active_model", "artifact_corrupt", *AUDIT),
)
def performance() -> Response:
    """How a version has done since it was trained, by what the market did.

    Live predictions alone, each once a symbol and bar, when `horizon_bars` bars have passed:
    `coverage` says what has become of those that are due. Each figure has its baseline and a 95 %
    interval as those of the holdout, which stand in `training`. `skill` says whether the version
    still has what it was judged by: evidence that may be looked at every day.
    """
    query = load_query(_PERFORMANCE_QUERY)
    return jsonify(asked_line().performance.performance(**query, now=request_time()))


@blueprint.get("/history")
@open_by_default("read")
@says(query=_HISTORY_QUERY, answers={200: HISTORY}, problems=AUDIT)
def history() -> Body:
    """What happened to a model line, newest first; what concerns none or all is of `main`.

    With `all_lines=true` it is what happened to each of them: `model` says to which.

    The details of `trained` are those of the gate (docs/training.md#promotion-gate).

    Whatever a key holder wants changed stands here as `admin_action` before it is tried, whether
    or not it succeeds; so does an activation without a key, as `public`. It has the `actor`, and
    in `details` the `method`, `route`, `arguments` and `request_id`. What came of it is another
    event, or the record of the run.
    """
    query = load_query(_HISTORY_QUERY)
    page = asked_line().monitoring.history(**query)
    events = [{name: getattr(event, name) for name in _EVENT_FIELDS} for event in page.rows]
    return {"events": events, "next_cursor": page.next_cursor}


@blueprint.get("/freshness")
@open_by_default("read")
@says(query=_MODEL_QUERY, answers={200: Freshness}, problems=AUDIT)
def freshness() -> Response:
    """The newest bar of each symbol that was predicted, the active model, the last answer.

    `symbols` counts requests for the present: without `as_of`, or with one less than a bar's
    length before the request. A backtest, which asks for the past, makes no feed look dead; its
    answers count for `last_prediction_at` alone. A symbol that nobody asks for any more is
    `unasked` once bars of it are late, and not `stale`.
    """
    load_query(_MODEL_QUERY)
    return jsonify(asked_line().monitoring.freshness(now=request_time()))


@blueprint.get("/latency")
@open_by_default("read")
@says(query=_LATENCY_QUERY, answers={200: Latencies}, problems=AUDIT)
def latency() -> Response:
    """How long requests took, by route and stage, over all web workers of all machines.

    Each quantile is within 2.2 % of the exact one, the longest is exact. `total` is the whole
    request, from when it is read until its answer is ready, and waiting for a thread is part of it.
    Routes of predictions have `bars`, `features` and `model` as well; those of a batch are of its
    slowest prediction. `count` is that of the stage. `error_rate` is the share of the route's
    answers with a status of 400 or more, `server_error_rate` that of 500 or more. The window is
    widened to whole minutes, beyond two hours to whole hours. Other workers' newest seconds may be
    missing.
    """
    window = load_query(_LATENCY_QUERY)["window"]
    return jsonify(platform().latencies.latency(window_seconds=window, now=request_time()))
