"""Is the process alive, and can it answer."""

from flask import Blueprint

from mlengine.web.http.auth import public
from mlengine.web.http.contract import says
from mlengine.web.http.requests import platform
from mlengine.web.http.responses import Body
from mlengine.web.schemas.answers import HEALTH, Ready

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
@blueprint.get("/livez")
@blueprint.get("/v2/health/live")
@public
@says(answers={200: HEALTH})
def health() -> Body:
    """Is the process alive, and how are its parts.

    200 while the process lives. Calls no upstream: `upstream` is how the last real call went in
    this web worker. Each check is `ok`, `degraded`, `down` or `unknown`; `status` is `ok` or
    `degraded`. `audit` is `degraded` while rows wait in the spool, because the tables could not
    take them: `audit_spool` has how many files and bytes wait, of all processes, and how many rows
    this web worker has spooled since its start. `keys` is `degraded` while `API_KEYS_FILE` can't be
    used: the keys that it had before stay in force. `refused_files` has each `file` of
    `MARKET_DATA_DIR` that this web worker can't use, with the `reason`, and each bad line of
    `actions.csv`; none of them degrades the whole. With `MAX_MODEL_AGE_DAYS` the loaded model has
    `too_old_from`, after which its predictions are not usable, and `ageing_from`, when a third of
    its days is left. `model` and `status` are of the line `main`; `lines` has those of the other
    model lines that this web worker was asked for, with the version that it has loaded of each.
    """
    body = dict(vars(platform().health.health()))
    names = ("active_version", "loaded_version", "ageing_from", "too_old_from")
    model = {name: body.pop(name) for name in names}
    return {**body, "model": model}


@blueprint.get("/ready")
@blueprint.get("/readyz")
@blueprint.get("/v2/health/ready")
@public
@says(
    answers={200: Ready},
    problems=("no_active_model", "artifact_corrupt", "not_ready", "audit_unavailable"),
)
def ready() -> Body:
    """Can predictions be answered.

    200 when a verified active model is loaded and the audit's database can be written, else a 503
    problem that says why. The spool does not count: with rows in it, `/ready` is 200 as soon as
    the database can be written again.
    """
    return {"status": "ready", "model_version": platform().health.ready()}
