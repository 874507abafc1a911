"""Model lines: which there are, creating and changing them, retiring them."""

from http import HTTPStatus

from flask import Blueprint, Response, g, jsonify

from mlengine.services.lines.service import LineSummary
from mlengine.web.http.auth import open_by_default, requires
from mlengine.web.http.contract import says
from mlengine.web.http.problem_groups import AUDIT
from mlengine.web.http.requests import load_body, load_query, platform, request_time
from mlengine.web.schemas.admin import EmptyBody
from mlengine.web.schemas.lines import LineBody, Lines

blueprint = Blueprint("lines", __name__)

_NO_QUERY, _NO_BODY, _LINE_BODY = EmptyBody(), EmptyBody(), LineBody()


@blueprint.get("/lines")
@open_by_default("read")
@says(query=_NO_QUERY, answers={200: Lines}, problems=AUDIT)
def lines() -> Response:
    """All model lines, `main` first and the others by name.

    A line has a recipe, a schedule, versions, a champion and a history of its own. `own` is what
    the line itself says of its recipe, `recipe` what its trainings do. A `retired` one serves and
    trains no more. `main` is what the settings say.
    """
    load_query(_NO_QUERY)
    return jsonify({"lines": platform().control.lines.list()})


@blueprint.post("/admin/lines")
@requires("train")
@says(
    query=_NO_QUERY,
    body=_LINE_BODY,
    body_required=True,
    answers={200: LineSummary, 201: LineSummary},
    problems=AUDIT,
)
def save_line() -> Response:
    """Create a model line, or give it another definition.

    201 for a new one. A definition takes the place of the whole one before; its versions stay, and
    so does the champion. A retired line is active again. Every host takes it in within a second.

    What could only fail when it is trained is 422, with each field in `errors`: bars of an interval
    that their source has not, a feature set that there is not, fewer symbols than `min_symbols`, a
    look-back too short for one labelled row.
    """
    load_query(_NO_QUERY)
    body = load_body(_LINE_BODY, required=True)
    line, change = platform().control.lines.save(**body, actor=g.actor, now=request_time())
    response = jsonify(line)
    response.status_code = HTTPStatus.CREATED if change == "created" else HTTPStatus.OK
    return response


@blueprint.post("/admin/lines/<name>/retire")
@requires("activate")
@says(
    query=_NO_QUERY,
    body=_NO_BODY,
    answers={200: LineSummary},
    problems=("model_not_found", *AUDIT),
)
def retire_line(name: str) -> Response:
    """Let a model line serve and train no more.

    What would serve or train is 410 `line_retired` from then on; its live run is cancelled.
    Versions, predictions and history stay, and can be read. `main` can't be retired.
    """
    load_query(_NO_QUERY)
    load_body(_NO_BODY)
    lines = platform().control.lines
    return jsonify(lines.retire(name, actor=g.actor, now=request_time()))
