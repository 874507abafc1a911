"""Webhooks: who is told of what happens. Secrets are shown once, addresses never."""

import secrets

from flask import Blueprint, Response, g, jsonify

from mlengine.core.hooks.signature import SECRET_BYTES, new_hook_id
from mlengine.services.hooks.service import NewHook, Redelivery, RotatedSecret
from mlengine.web.http.auth import requires
from mlengine.web.http.contract import says
from mlengine.web.http.problem_groups import AUDIT
from mlengine.web.http.requests import load_body, load_query, platform, request_time
from mlengine.web.http.responses import Body
from mlengine.web.schemas.admin import EmptyBody
from mlengine.web.schemas.fields import RequestSchema
from mlengine.web.schemas.webhooks import (
    HookBody,
    Hooks,
    QueuedTest,
    RedeliveryBody,
    RemovedHook,
    hook_id_of_path,
)

blueprint = Blueprint("webhooks", __name__, url_prefix="/admin/hooks")

_MODEL_QUERY, _EMPTY_BODY = RequestSchema(), EmptyBody()
_HOOK_BODY, _REDELIVERY_BODY = HookBody(), RedeliveryBody()
_HOOK = ("hook_not_found", *AUDIT)


@blueprint.get("", strict_slashes=False)
@requires("hooks")
@says(query=_MODEL_QUERY, answers={200: Hooks}, problems=AUDIT)
def list_hooks() -> Response:
    """List the webhooks.

    With the host of each, and how many of the messages of thirty days are `pending`, `delivered`
    and `failed`, which is after all attempts. One that answered 410 is disabled.
    """
    load_query(_MODEL_QUERY)
    return jsonify({"hooks": platform().control.hooks.list()})


@blueprint.post("", strict_slashes=False)
@requires("hooks")
@says(
    query=_MODEL_QUERY,
    body=_HOOK_BODY,
    body_required=True,
    answers={201: NewHook},
    problems=("too_many_hooks", *AUDIT),
)
def add_hook() -> tuple[Response, int]:
    """Send events to an address.

    `secret` is shown this once; messages are signed with it as Standard Webhooks says. The worker
    delivers. Where `HOOKS_ALLOW_PRIVATE` is off, an address has to begin with `https://`, and
    nothing goes to private, loopback and link-local addresses, whatever their name.
    """
    load_query(_MODEL_QUERY)
    body = load_body(_HOOK_BODY, required=True)
    hook = platform().control.hooks.add(
        body["url"],
        body["events"],
        hook_id=new_hook_id(secrets.token_bytes),
        secret=secrets.token_bytes(SECRET_BYTES),
        actor=g.actor,
        now=request_time(),
    )
    return jsonify(hook), 201


@blueprint.delete("/<hook_id>")
@requires("hooks")
@says(query=_MODEL_QUERY, body=_EMPTY_BODY, answers={200: RemovedHook}, problems=_HOOK)
def remove_hook(hook_id: str) -> Body:
    """Send a hook nothing more.

    Not even what is pending.
    """
    _refuse_arguments()
    platform().control.hooks.remove(hook_id_of_path(hook_id), actor=g.actor, now=request_time())
    return {"removed": hook_id, "actor": g.actor}


@blueprint.post("/<hook_id>/test")
@requires("hooks")
@says(query=_MODEL_QUERY, body=_EMPTY_BODY, answers={200: QueuedTest}, problems=_HOOK)
def test_hook(hook_id: str) -> Body:
    """Send a hook a message of type `hook.test`.

    The worker delivers it, once. A hook that was disabled is enabled again when it takes it.
    """
    _refuse_arguments()
    platform().control.hooks.send_test(hook_id_of_path(hook_id), actor=g.actor, now=request_time())
    return {"id": hook_id, "state": "queued", "actor": g.actor}


@blueprint.post("/<hook_id>/redeliver")
@requires("hooks")
@says(query=_MODEL_QUERY, body=_REDELIVERY_BODY, answers={200: Redelivery}, problems=_HOOK)
def redeliver(hook_id: str) -> Response:
    """Send again what a hook did not get.

    What failed in all attempts; or one `message`; with `since` also what it missed from then on,
    as it was disabled or not there yet. Messages are kept for thirty days.
    """
    load_query(_MODEL_QUERY)
    body = load_body(_REDELIVERY_BODY)
    again = platform().control.hooks.redeliver(hook_id_of_path(hook_id), **body, now=request_time())
    return jsonify(again)


@blueprint.post("/<hook_id>/rotate")
@requires("hooks")
@says(query=_MODEL_QUERY, body=_EMPTY_BODY, answers={200: RotatedSecret}, problems=_HOOK)
def rotate_secret(hook_id: str) -> Response:
    """Give a hook a new secret.

    It is shown this once. Until `previous_until`, a day from now, the old one signs too.
    """
    _refuse_arguments()
    secret = secrets.token_bytes(SECRET_BYTES)
    return jsonify(
        platform().control.hooks.rotate(
            hook_id_of_path(hook_id), secret=secret, actor=g.actor, now=request_time()
        )
    )


def _refuse_arguments() -> None:
    """Raises InvalidRequest for any but `model=`, in the query or the body."""
    load_query(_MODEL_QUERY)
    load_body(_EMPTY_BODY)
