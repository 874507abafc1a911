"""Trainings: asking for them, following them, cancelling them; all need a key."""

from uuid import uuid4

from flask import Blueprint, g, url_for

from mlengine.core.runs.run import RUN_FIELDS, Run
from mlengine.errors import InvalidRequest
from mlengine.services.runs.service import RunRequest
from mlengine.services.training.reproduction import NOT_REPRODUCIBLE
from mlengine.web.http import traces
from mlengine.web.http.auth import requires
from mlengine.web.http.contract import says
from mlengine.web.http.problem_groups import AUDIT, SERVING_LINE, STARTED_RUN
from mlengine.web.http.requests import (
    IDEMPOTENCY_HEADER,
    asked_line,
    asked_line_name,
    idempotency_key,
    load_body,
    load_query,
    request_time,
)
from mlengine.web.http.responses import Body
from mlengine.web.schemas.admin import EmptyBody, RunReference, RunsQuery, TrainBody
from mlengine.web.schemas.admin_answers import AcceptedRun, CancelledRun
from mlengine.web.schemas.answers import RUN_STATUS, RUNS
from mlengine.web.schemas.fields import RequestSchema, version_of_path

Accepted = tuple[Body, int, dict[str, str]]

blueprint = Blueprint("training", __name__, url_prefix="/admin")

_EMPTY_BODY, _MODEL_QUERY = EmptyBody(), RequestSchema()
_TRAIN_BODY, _RUN_REFERENCE, _RUNS_QUERY = TrainBody(), RunReference(), RunsQuery()
_NO_RUN = {**dict.fromkeys(RUN_FIELDS), "state": "idle"}
_LISTED_FIELDS = [name for name in RUN_FIELDS if name not in ("log", "result")]


@blueprint.post("/train")
@requires("train")
@says(
    query=_MODEL_QUERY,
    body=_TRAIN_BODY,
    headers=(IDEMPOTENCY_HEADER,),
    answers={202: AcceptedRun},
    problems=(*STARTED_RUN, *SERVING_LINE, *AUDIT),
)
def train() -> Accepted:
    """Start a training.

    The body, which is optional, has what this run does differently from the configuration. The
    bounds are those of the settings; every field is checked at once. `label: cs_zscore` needs
    `objective: return` and at least ten symbols.

    202 with `Location`; 409 with the `run_id` of the line's live run while there is one; 503 when
    the queue is down, and then the run is `failed`.

    **`Idempotency-Key`** (a header, optional, 1 to 200 visible ASCII characters): the same key
    with the same body gets the same answer with the same `run_id`, however often it comes and
    whatever has become of the run; the order of the fields does not matter. With another body it
    is 422. A key does not expire. When the queue refused the run (503), its key is free for
    another try.
    """
    load_query(_MODEL_QUERY)
    overrides = load_body(_TRAIN_BODY)
    line = asked_line(must_serve=True)
    line.features.feature_set(overrides.get("feature_set"))
    return _accepted(line.control.runs.request_training(overrides, _run_request()))


@blueprint.post("/models/<version:version>/reproduce")
@requires("train")
@says(
    query=_MODEL_QUERY,
    body=_EMPTY_BODY,
    headers=(IDEMPOTENCY_HEADER,),
    answers={202: AcceptedRun},
    problems=("artifact_corrupt", *STARTED_RUN, *SERVING_LINE, *AUDIT),
)
def reproduce(version: str) -> Accepted:
    """Train a version again from its record.

    A run of kind `reproduce`, and nothing is published; 422 for a version that is not
    `reproducible`. 202 and `Location` as for a training, also
    with an `Idempotency-Key`; one run at a time counts for both kinds. What was found stands in
    `result` of its status: `version`, `identical`, `fingerprint`, `reproduced`,
    `candidate_fingerprint`, `candidate_reproduced`, `bars_sha256`, `differences` and `upstream`.
    """
    load_query(_MODEL_QUERY)
    load_body(_EMPTY_BODY)
    line = asked_line(must_serve=True)
    manifest, _ = line.models.get(version_of_path(version))
    if not manifest.reproducible:
        raise InvalidRequest({"version": [NOT_REPRODUCIBLE]})
    return _accepted(line.control.runs.request_reproduction(version, _run_request()))


@blueprint.get("/train/status")
@requires("train", "read")
@says(query=_RUN_REFERENCE, answers={200: RUN_STATUS}, problems=("run_not_found", *AUDIT))
def train_status() -> Body:
    """How far a training is.

    Of `run_id`, or of the newest run without it. `state` is `idle` (there was none), `queued`,
    `running`, `succeeded`, `failed`, `cancelled` or `lost`; `workers` counts the live ones, null
    when the queue can't say.

    `sequence` grows with every change of the record, so that two answers can be ordered.
    `eta_seconds` is reckoned anew at each question from percent and elapsed time, null before 20 %
    and outside of `running`. `log` is the newest fifty lines of the training process, a JSON
    object each. A run that is `running` renews its lease; past `lease_until` it reads `lost`.
    """
    run_id, now = load_query(_RUN_REFERENCE)["run_id"], request_time()
    runs = asked_line().control.runs
    run = runs.status(run_id, now=now)
    idle = {**_NO_RUN, "model": asked_line_name()}
    return {**(run.as_dict(now) if run else idle), "workers": runs.workers()}


@blueprint.get("/train/runs")
@requires("train", "read")
@says(query=_RUNS_QUERY, answers={200: RUNS}, problems=AUDIT)
def train_runs() -> Body:
    """All runs, newest first.

    With the fields of the status but `log`, `result` and `workers`; `next_cursor` asks for the
    older ones, null at the end.
    """
    query, now = load_query(_RUNS_QUERY), request_time()
    page = asked_line().control.runs.page(**query, now=now)
    views = [run.as_dict(now) for run in page.rows]
    runs = [{name: view[name] for name in _LISTED_FIELDS} for view in views]
    return {"runs": runs, "next_cursor": page.next_cursor}


@blueprint.post("/train/cancel")
@requires("train")
@says(
    query=_MODEL_QUERY,
    body=_RUN_REFERENCE,
    answers={200: CancelledRun},
    problems=("run_not_found", "run_not_cancellable", *AUDIT),
)
def train_cancel() -> Body:
    """Cancel a training.

    The run of `run_id`, or the live one without it. The record is `cancelled` at once, and nothing
    is published for the run from then on; a running process is ended within two seconds.
    Cancelling a cancelled run again is the same 200. 404 `run_not_found` when there is no such
    run, or no live one; 409 `run_not_cancellable` for a run that has ended otherwise, and while
    its version is being made visible.
    """
    load_query(_MODEL_QUERY)
    run_id = load_body(_RUN_REFERENCE)["run_id"]
    run = asked_line().control.runs.cancel(run_id, actor=g.actor, now=request_time())
    return {"run_id": run.run_id, "state": run.state, "actor": g.actor}


def _run_request() -> RunRequest:
    return RunRequest(
        uuid4().hex,
        g.actor,
        g.request_id,
        request_time(),
        idempotency_key(),
        traces.traceparent_of_run(),
    )


def _accepted(run: Run) -> Accepted:
    """The same for the same run, also when it is asked for again later; its status tells more."""
    body = {"run_id": run.run_id, "state": "queued", "actor": run.actor}
    return body, 202, {"Location": url_for(".train_status", run_id=run.run_id)}
