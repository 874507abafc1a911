"""Versions: which there are, how each came to be, which one serves."""

from http import HTTPStatus

from flask import Blueprint, Response, g, jsonify, request, url_for

from mlengine.core.line_names import MODEL_LINE
from mlengine.core.versions.comparison import Comparison
from mlengine.services.models.catalog import ModelList
from mlengine.services.models.service import Activation, PendingActivation
from mlengine.web.http.auth import open_by_default, public_activation
from mlengine.web.http.contract import says
from mlengine.web.http.problem_groups import AUDIT, CHANGED_MODEL, SERVING_LINE
from mlengine.web.http.requests import (
    asked_line,
    asked_line_name,
    load_body,
    load_query,
    request_time,
)
from mlengine.web.http.responses import Body
from mlengine.web.schemas.answers import MODEL
from mlengine.web.schemas.fields import RequestSchema, version_of_path
from mlengine.web.schemas.models import ActivationBody, ComparisonQuery

blueprint = Blueprint("models", __name__)

_MODEL_QUERY, _COMPARISON_QUERY = RequestSchema(), ComparisonQuery()
ACTIVATION_BODY = ActivationBody()


@blueprint.get("/models")
@open_by_default("read")
@says(query=_MODEL_QUERY, answers={200: ModelList})
def models() -> Response:
    """All versions of a line, in numeric order.

    `status` is `active`, `available` or `corrupt`; a `pinned` version is never pruned. `low` to
    `high` holds 95 %; a null `value` or interval has its `reason`. `verdict` is `edge`, `no_edge`
    or `worse`, by one metric: docs/training.md#metrics says how each is taken.
    """
    load_query(_MODEL_QUERY)
    return jsonify(asked_line().models.list())


@blueprint.get("/models/compare")
@open_by_default("read")
@says(query=_COMPARISON_QUERY, answers={200: Comparison}, problems=("artifact_corrupt",))
def compare() -> Response:
    """Two versions side by side.

    On the rows of both stored holdouts that neither candidate was trained on; `mlengine models
    compare v1 v2` prints the same. `test` is the promotion gate's, with `a` as the champion
    (docs/training.md#promotion-gate): `mean_difference` is positive where `b` has the smaller
    `loss`, and `p_value` is one-sided, for `b` being better. The correlations are those of the two
    candidates' predictions. `recipe` lists the fields of the manifests in which they differ, null
    where one has no such field. Labels are those of the version with the higher number. For
    `return` the metrics are `mse`, `mae`, `pooled_ic`, `pooled_rank_ic` (over all rows at once)
    and `hit_rate`.

    `reason` is null, or says why there are no figures (`common`, `test` and the correlations are
    null then, `metrics` is empty): `not_comparable` for another objective, label, horizon, delay
    or interval (and with `cs_zscore` another universe), `no_common_rows`. An unknown version is
    404, a malformed one 422.
    """
    query = load_query(_COMPARISON_QUERY)
    return jsonify(asked_line().models.compare(**query))


@blueprint.get("/models/<version:version>")
@blueprint.get("/model/<version:version>")
@open_by_default("read")
@says(query=_MODEL_QUERY, answers={200: MODEL}, problems=("artifact_corrupt",))
def model(version: str) -> Body:
    """The manifest of a version: how it came to be.

    `spec` is the recipe as it was requested, `as_of` the time of which the bars were known;
    `bars.parquet` among the `files` holds them. Where `reproducible` is false, a cluster fitted the
    trees, and the same recipe may give others.
    """
    load_query(_MODEL_QUERY)
    manifest, is_active = asked_line().models.get(version_of_path(version))
    return {
        **manifest.to_dict(),
        "reproducible": manifest.reproducible,
        "is_active": is_active,
    }


@blueprint.post("/models/activate/<version:version>")
@public_activation
@says(
    query=_MODEL_QUERY,
    body=ACTIVATION_BODY,
    answers={200: Activation},
    problems=(*CHANGED_MODEL, *SERVING_LINE, *AUDIT),
)
def activate(version: str) -> Response:
    """Activate a version without a key.

    Where `PUBLIC_ACTIVATION` is on; else 403, and `POST /admin/activate/{version}` is the way. The
    files are verified and loaded first; when they are refused, nothing has changed. Every web
    worker serves the version from its next request on.
    """
    return activation_response(version)


def activation_response(version: str) -> Response:
    """Activate what the path names, for `g.actor`; the admin route shares it."""
    load_query(_MODEL_QUERY)
    reason = load_body(ACTIVATION_BODY)["reason"] or "asked over HTTP"
    activation = asked_line(must_serve=True).models.request_activation(
        version_of_path(version), actor=g.actor, reason=reason, now=request_time()
    )
    response = jsonify(activation)
    if isinstance(activation, PendingActivation):
        response.status_code = HTTPStatus.ACCEPTED
        history = f"{request.blueprint}".replace("admin", "monitoring")
        line = None if asked_line_name() == MODEL_LINE else asked_line_name()
        response.location = url_for(f"{history}.history", kind="activation_requested", model=line)
    return response
