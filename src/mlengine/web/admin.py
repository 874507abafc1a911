"""What only a key holder may do; every answer names whose key it was."""

from __future__ import annotations

from uuid import uuid4

from flask import Blueprint, g, url_for

from mlengine.web.auth import admin_required
from mlengine.web.models import activated
from mlengine.web.requests import body, engine, moment, query
from mlengine.web.responses import Body, shown
from mlengine.web.schemas.admin import RunOut, StatusQuery, TrainBody
from mlengine.web.schemas.fields import Nothing
from mlengine.web.schemas.models import ActivationOut, LoadedOut, ModelQuery

blueprint = Blueprint("admin", __name__, url_prefix="/admin")

_NOTHING, _MODEL_QUERY = Nothing(), ModelQuery()
_TRAIN_BODY, _STATUS_QUERY, _RUN = TrainBody(), StatusQuery(), RunOut()
_ACTIVATION, _LOADED = ActivationOut(), LoadedOut()


@blueprint.post("/train")
@admin_required
def train() -> tuple[Body, int, dict[str, str]]:
    query(_MODEL_QUERY)
    overrides = body(_TRAIN_BODY)
    engine().features.feature_set(overrides.get("feature_set"))
    runs = engine().runs
    run = runs.request(
        runs.spec(overrides),
        actor=g.actor,
        request_id=g.request_id,
        run_id=uuid4().hex,
        now=moment(),
    )
    where = url_for(".train_status", run_id=run.run_id)
    return {"run_id": run.run_id, "state": run.state, "actor": g.actor}, 202, {"Location": where}


@blueprint.get("/train/status")
@admin_required
def train_status() -> Body:
    runs = engine().runs
    run = runs.status(query(_STATUS_QUERY)["run_id"], now=moment())
    return {**shown(_RUN, run or {}), "workers": runs.workers()}


@blueprint.post("/activate/<version:version>")
@admin_required
def activate(version: str) -> Body:
    return activated(version)


@blueprint.post("/rollback")
@admin_required
def rollback() -> Body:
    query(_MODEL_QUERY)
    body(_NOTHING)
    return shown(_ACTIVATION, engine().models.rollback(actor=g.actor, now=moment()))


@blueprint.post("/reload")
@admin_required
def reload() -> Body:
    query(_MODEL_QUERY)
    body(_NOTHING)
    loaded = engine().models.reload(actor=g.actor, now=moment())
    return {**shown(_LOADED, loaded), "actor": g.actor}


@blueprint.delete("/audit/clear")
@admin_required
def clear_audit() -> Body:
    query(_MODEL_QUERY)
    body(_NOTHING)
    return {"cleared": engine().audit.clear(actor=g.actor, now=moment()), "actor": g.actor}
