"""What only a key holder may do; every answer names whose key it was."""

from flask import Blueprint, Response, g, jsonify

from mlengine.core.line_names import MODEL_LINE
from mlengine.core.runs.run import RUN_FIELDS
from mlengine.errors import InvalidRequest, RefusedLineFiles
from mlengine.services.models.service import Activation, PendingActivation
from mlengine.web.http.auth import requires
from mlengine.web.http.contract import says
from mlengine.web.http.problem_groups import AUDIT, CHANGED_MODEL, SERVING_LINE
from mlengine.web.http.requests import (
    asked_line,
    asked_line_name,
    load_body,
    load_query,
    platform,
    request_time,
)
from mlengine.web.http.responses import Body
from mlengine.web.routes.models import ACTIVATION_BODY, activation_response
from mlengine.web.schemas.admin import EmptyBody, RunReference, RunsQuery, TrainBody
from mlengine.web.schemas.admin_answers import Cleared, Reloaded
from mlengine.web.schemas.fields import RequestSchema

Accepted = tuple[Body, int, dict[str, str]]

blueprint = Blueprint("admin", __name__, url_prefix="/admin")

_EMPTY_BODY, _MODEL_QUERY = EmptyBody(), RequestSchema()
_TRAIN_BODY, _RUN_REFERENCE, _RUNS_QUERY = TrainBody(), RunReference(), RunsQuery()
_NO_RUN = {**dict.fromkeys(RUN_FIELDS), "state": "idle"}
_LISTED_FIELDS = [name for name in RUN_FIELDS if name not in ("log", "result")]


@blueprint.post("/activate/<version:version>")
@requires("activate")
@says(
    query=_MODEL_QUERY,
    body=ACTIVATION_BODY,
    answers={200: Activation, 202: PendingActivation},
    problems=("approval_needed", *CHANGED_MODEL, *SERVING_LINE, *AUDIT),
)
def activate(version: str) -> Response:
    """Activate a version.

    The files are verified and loaded first; when they are refused, nothing has changed. Every web
    worker serves the version from its next request on.

    With `ACTIVATION_APPROVALS` the first request is 202 and changes nothing: it stands in the
    history as `activation_requested`. The same request by another key confirms it, and by the same
    key is 409 `approval_needed`. It lapses once any version is activated.
    """
    return activation_response(version)


@blueprint.post("/rollback")
@requires("activate")
@says(
    query=_MODEL_QUERY,
    body=_EMPTY_BODY,
    answers={200: Activation},
    problems=("no_active_model", *CHANGED_MODEL, *SERVING_LINE, *AUDIT),
)
def rollback() -> Response:
    """Serve what was active before.

    A second rollback returns.
    """
    _refuse_arguments()
    models = asked_line(must_serve=True).models
    return jsonify(models.rollback(actor=g.actor, now=request_time()))


@blueprint.post("/reload")
@requires("activate")
@says(
    query=_MODEL_QUERY,
    body=_EMPTY_BODY,
    answers={200: Reloaded},
    problems=("no_active_model", *CHANGED_MODEL, *SERVING_LINE, *AUDIT),
)
def reload() -> Body:
    """Load and verify the active version again, in every web worker.

    And read the file of named keys again; `keys` is `degraded` where it can't be used. And take in
    the files of model lines that this host has; `lines` names those that said something new. A
    file that can't be used is refused with its field and reason, every one of them in `errors`, and
    nothing is loaded.
    """
    _refuse_arguments()
    try:
        lines = platform().control.take_line_files()
    except RefusedLineFiles as refusal:  # so a start would be refused, which takes in files, too
        raise InvalidRequest({"lines": refusal.refusals}) from None
    ring = platform().keys.ring
    ring.reload()
    model = asked_line(must_serve=True).models.reload(actor=g.actor, now=request_time())
    return {
        "loaded_version": model.version,
        "fingerprint": model.manifest.fingerprint,
        "generation": model.generation,
        "lines": lines,
        "keys": "degraded" if ring.damage() else "ok",
        "actor": g.actor,
    }


@blueprint.delete("/audit/clear")
@requires("audit")
@says(query=_MODEL_QUERY, body=_EMPTY_BODY, answers={200: Cleared}, problems=AUDIT)
def clear_audit() -> Body:
    """Delete predictions, vectors and windows of bars.

    Of all model lines, so that `model=` names no other than `main`. Runs and events stay, and
    this is noted there.
    """
    _refuse_arguments()
    if asked_line_name() != MODEL_LINE:
        raise InvalidRequest({"model": ["the audit is cleared of all lines at once"]})
    cleared = platform().audit.clear(actor=g.actor, now=request_time())
    return {"cleared": cleared, "actor": g.actor}


def _refuse_arguments() -> None:
    """Raises InvalidRequest for any but `model=`, in the query or the body."""
    load_query(_MODEL_QUERY)
    load_body(_EMPTY_BODY)
