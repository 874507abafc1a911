"""What only a key holder may do; every answer names whose key it was."""

from uuid import uuid4

from flask import Blueprint, Response, g, jsonify, url_for
from marshmallow import Schema

from mlengine.core.runs.run import RUN_FIELDS, Run
from mlengine.services.runs.service import RunRequest
from mlengine.web.http.auth import admin_required
from mlengine.web.http.requests import (
    idempotency_key,
    load_body,
    load_query,
    platform,
    request_time,
)
from mlengine.web.http.responses import Body
from mlengine.web.routes.models import activation_response
from mlengine.web.schemas.admin import RunReference, RunsQuery, TrainBody
from mlengine.web.schemas.fields import RequestSchema, version_of_path

Accepted = tuple[Body, int, dict[str, str]]

blueprint = Blueprint("admin", __name__, url_prefix="/admin")

_EMPTY_BODY, _MODEL_QUERY = Schema(), RequestSchema()
_TRAIN_BODY, _RUN_REFERENCE, _RUNS_QUERY = TrainBody(), RunReference(), RunsQuery()
_NO_RUN = {**dict.fromkeys(RUN_FIELDS), "state": "idle"}
_LISTED_FIELDS = [name for name in RUN_FIELDS if name not in ("log", "result")]


@blueprint.post("/train")
@admin_required
def train() -> Accepted:
    load_query(_MODEL_QUERY)
    overrides = load_body(_TRAIN_BODY)
    platform().features.feature_set(overrides.get("feature_set"))
    return _accepted(platform().control.runs.request_training(overrides, _run_request()))


@blueprint.post("/models/<version:version>/reproduce")
@admin_required
def reproduce(version: str) -> Accepted:
    _refuse_arguments()
    platform().models.get(version_of_path(version))
    return _accepted(platform().control.runs.request_reproduction(version, _run_request()))


@blueprint.get("/train/status")
@admin_required
def train_status() -> Body:
    runs, now = platform().control.runs, request_time()
    run = runs.status(load_query(_RUN_REFERENCE)["run_id"], now=now)
    return {**(run.view(now) if run else _NO_RUN), "workers": runs.workers()}


@blueprint.get("/train/runs")
@admin_required
def train_runs() -> Body:
    now = request_time()
    page = platform().control.runs.page(**load_query(_RUNS_QUERY), now=now)
    views = [run.view(now) for run in page.rows]
    runs = [{name: view[name] for name in _LISTED_FIELDS} for view in views]
    return {"runs": runs, "next_cursor": page.next_cursor}


@blueprint.post("/train/cancel")
@admin_required
def train_cancel() -> Body:
    load_query(_MODEL_QUERY)
    run_id = load_body(_RUN_REFERENCE)["run_id"]
    run = platform().control.runs.cancel(run_id, actor=g.actor, now=request_time())
    return {"run_id": run.run_id, "state": run.state, "actor": g.actor}


@blueprint.post("/activate/<version:version>")
@admin_required
def activate(version: str) -> Response:
    return activation_response(version)


@blueprint.post("/rollback")
@admin_required
def rollback() -> Response:
    _refuse_arguments()
    return jsonify(platform().models.rollback(actor=g.actor, now=request_time()))


@blueprint.post("/reload")
@admin_required
def reload() -> Body:
    _refuse_arguments()
    model = platform().models.reload(actor=g.actor, now=request_time())
    return {
        "loaded_version": model.version,
        "fingerprint": model.manifest.fingerprint,
        "generation": model.generation,
        "actor": g.actor,
    }


@blueprint.delete("/audit/clear")
@admin_required
def clear_audit() -> Body:
    _refuse_arguments()
    cleared = platform().audit.clear(actor=g.actor, now=request_time())
    return {"cleared": cleared, "actor": g.actor}


def _refuse_arguments() -> None:
    """Raises InvalidRequest for any but `model=`, in the query or the body."""
    load_query(_MODEL_QUERY)
    load_body(_EMPTY_BODY)


def _run_request() -> RunRequest:
    return RunRequest(uuid4().hex, g.actor, g.request_id, request_time(), idempotency_key())


def _accepted(run: Run) -> Accepted:
    """The same for the same run, also when it is asked for again later; its status tells more."""
    body = {"run_id": run.run_id, "state": "queued", "actor": run.actor}
    return body, 202, {"Location": url_for(".train_status", run_id=run.run_id)}
