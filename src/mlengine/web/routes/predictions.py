"""The audited predictions: the recent ones, one by its id, and its replay."""

from flask import Blueprint, g

from mlengine.stores.audit.filter import AuditFilter
from mlengine.web.http.auth import open_by_default, requires
from mlengine.web.http.contract import says
from mlengine.web.http.problem_groups import AUDIT
from mlengine.web.http.requests import (
    asked_line_name,
    load_body,
    load_query,
    platform,
    request_time,
)
from mlengine.web.http.responses import Body
from mlengine.web.schemas.answers import AUDITED_PREDICTION, RECENT_PREDICTIONS, REPLAY
from mlengine.web.schemas.fields import RequestSchema
from mlengine.web.schemas.predictions import (
    RecentQuery,
    ReplayBody,
    audit_row_body,
    prediction_id_of_path,
)

blueprint = Blueprint("predictions", __name__, url_prefix="/predictions")

_MODEL_QUERY, _RECENT_QUERY, _REPLAY_BODY = RequestSchema(), RecentQuery(), ReplayBody()


@blueprint.get("/recent")
@open_by_default("read")
@says(query=_RECENT_QUERY, answers={200: RECENT_PREDICTIONS}, problems=AUDIT)
def recent() -> Body:
    """The audited predictions, newest first, failures included.

    `spooled` is true while predictions wait in the spool, which this list does not show yet. An
    entry has the fields of `/predict` but what `explain` adds, and `status`, `error`, `at` and
    `route`; `usable`, `reasons`, `point_in_time` and `bars_age_seconds` are null for a failure and
    for what was audited before these fields existed.
    """
    audit, query = platform().audit, load_query(_RECENT_QUERY)
    limit, cursor = query.pop("limit"), query.pop("cursor")
    asked = AuditFilter(model=asked_line_name(), **query)
    page = audit.recent(asked, limit=limit, cursor=cursor)
    rows = [audit_row_body(row) for row in page.rows]
    return {"predictions": rows, "next_cursor": page.next_cursor, "spooled": audit.spooled}


@blueprint.get("/<prediction_id>")
@open_by_default("read")
@says(
    query=_MODEL_QUERY,
    answers={200: AUDITED_PREDICTION},
    problems=("prediction_not_found", *AUDIT),
)
def prediction(prediction_id: str) -> Body:
    """One entry of the list of predictions."""
    load_query(_MODEL_QUERY)
    return audit_row_body(platform().audit.get(prediction_id_of_path(prediction_id)))


@blueprint.post("/<prediction_id>/replay")
@requires("audit")
@says(
    query=_MODEL_QUERY,
    body=_REPLAY_BODY,
    answers={200: REPLAY},
    problems=("prediction_not_found", *AUDIT),
)
def replay(prediction_id: str) -> Body:
    """Make a prediction again, and compare bit for bit.

    Needs a key: it reads only, but costs a load of the model. The prediction is made again from
    the window of bars that was stored with it, by the version and the feature set that it names.
    The key's name stands in the history (`replayed`).

    | `status` | |
    | --- | --- |
    | `identical` | the same features and the same score, to the last bit |
    | `features` | the features differ; `differing_features` names them |
    | `score` | the same features, another score |
    | `model_gone` | the version was pruned, is refused, or is another model today; `reason` |
    | `feature_set_gone` | its hash is no longer served; `reason` |
    | `not_replayable` | a failure, or its bars are not stored whole; `reason` |

    `upstream` is about today's answer for those bars, and does not touch `status`: `same`,
    `changed` (a dividend revises adjusted history), `unavailable` or `not_checked`.
    """
    load_query(_MODEL_QUERY)
    check_upstream = load_body(_REPLAY_BODY)["upstream"]
    row = platform().audit.get(prediction_id_of_path(prediction_id))
    result = (
        platform()
        .of_line(row.model)
        .replay.replay(
            row.prediction_id,
            check_upstream=check_upstream,
            actor=g.actor,
            request_id=g.request_id,
            now=request_time(),
        )
    )
    return {**vars(result), "actor": g.actor}
