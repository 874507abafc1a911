"""What only a key holder may do; every answer names whose key it was."""

from __future__ import annotations

from uuid import uuid4

from flask import Blueprint, g, url_for

from mlengine.core.runs.run import Run
from mlengine.web.http.auth import admin_required
from mlengine.web.http.requests import body, idempotency_key, moment, platform, query
from mlengine.web.http.responses import Body, shown
from mlengine.web.routes.models import activated
from mlengine.web.schemas.admin import CancelBody, RunOut, RunsQuery, StatusQuery, TrainBody
from mlengine.web.schemas.fields import Nothing, path_version
from mlengine.web.schemas.models import ActivationOut, LoadedOut, ModelQuery

Accepted = tuple[Body, int, dict[str, str]]

blueprint = Blueprint("admin", __name__, url_prefix="/admin")

_NOTHING, _MODEL_QUERY = Nothing(), ModelQuery()
_TRAIN_BODY, _CANCEL_BODY = TrainBody(), CancelBody()
_STATUS_QUERY, _RUNS_QUERY = StatusQuery(), RunsQuery()
_RUN, _LISTED = RunOut(), RunOut(exclude=("log", "result"))
_ACTIVATION, _LOADED = ActivationOut(), LoadedOut()


@blueprint.post("/train")
@admin_required
def train() -> Accepted:
    query(_MODEL_QUERY)
    overrides = body(_TRAIN_BODY)
    platform().features.feature_set(overrides.get("feature_set"))
    runs = platform().control.runs
    run = runs.request_training(
        runs.spec(overrides),
        actor=g.actor,
        request_id=g.request_id,
        run_id=uuid4().hex,
        now=moment(),
        idempotency_key=idempotency_key(),
        body=overrides,
    )
    return _accepted(run)


@blueprint.post("/models/<version:version>/reproduce")
@admin_required
def reproduce(version: str) -> Accepted:
    query(_MODEL_QUERY)
    body(_NOTHING)
    known = path_version(version)
    platform().models.get(known)
    run = platform().control.runs.request_reproduction(
        known,
        actor=g.actor,
        request_id=g.request_id,
        run_id=uuid4().hex,
        now=moment(),
        idempotency_key=idempotency_key(),
    )
    return _accepted(run)


@blueprint.get("/train/status")
@admin_required
def train_status() -> Body:
    runs, now = platform().control.runs, moment()
    run = runs.status(query(_STATUS_QUERY)["run_id"], now=now)
    return {**shown(_RUN, run.view(now) if run else {}), "workers": runs.workers()}


@blueprint.get("/train/runs")
@admin_required
def train_runs() -> Body:
    asked, now = query(_RUNS_QUERY), moment()
    page = platform().control.runs.page(**asked, now=now)
    rows = [shown(_LISTED, run.view(now)) for run in page.rows]
    return {"runs": rows, "next_cursor": page.next_cursor}


@blueprint.post("/train/cancel")
@admin_required
def train_cancel() -> Body:
    query(_MODEL_QUERY)
    run = platform().control.runs.cancel(body(_CANCEL_BODY)["run_id"], actor=g.actor, now=moment())
    return {"run_id": run.run_id, "state": run.state, "actor": g.actor}


def _accepted(run: Run) -> Accepted:
    """The same for the same run, also when it is asked for again later; its status tells more."""
    where = url_for(".train_status", run_id=run.run_id)
    answer = {"run_id": run.run_id, "state": "queued", "actor": run.actor}
    return answer, 202, {"Location": where}


@blueprint.post("/activate/<version:version>")
@admin_required
def activate(version: str) -> Body:
    return activated(version)


@blueprint.post("/rollback")
@admin_required
def rollback() -> Body:
    query(_MODEL_QUERY)
    body(_NOTHING)
    return shown(_ACTIVATION, platform().models.rollback(actor=g.actor, now=moment()))


@blueprint.post("/reload")
@admin_required
def reload() -> Body:
    query(_MODEL_QUERY)
    body(_NOTHING)
    loaded = platform().models.reload(actor=g.actor, now=moment())
    return {**shown(_LOADED, loaded), "actor": g.actor}


@blueprint.delete("/audit/clear")
@admin_required
def clear_audit() -> Body:
    query(_MODEL_QUERY)
    body(_NOTHING)
    return {"cleared": platform().audit.clear(actor=g.actor, now=moment()), "actor": g.actor}
