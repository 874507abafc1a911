"""Every kind of problem that a client can meet: its statuses, its cause, and what to do about it.

docs/problems.md is made of this table, and so is what the OpenAPI document says of problems.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProblemKind:
    """`extra` names the members that few other kinds have."""

    code: str
    statuses: tuple[int, ...]
    cause: str
    cure: str
    extra: tuple[str, ...] = ()


PROBLEMS = (
    ProblemKind(
        "invalid_request",
        (422, 400, 414, 417, 431, 501),
        "A parameter or a field was understood and refused (422): `errors` names each, with the "
        "reason. With 400 the request itself is malformed: its body is no JSON, or it broke off. "
        "The server's parser answers 414, 417, 431 and 501 for a line or a header that is too "
        "long, and for what it does not speak.",
        "Mend what `errors` names and send the request again; as it is, it never succeeds.",
        ("errors",),
    ),
    ProblemKind(
        "unauthorized",
        (401,),
        "The header `X-API-Key` is missing, or it holds no key of this platform, or one that has "
        "expired or is revoked; `detail` says which.",
        "Send a key that the operator gave you. Keys are compared whole: look for a blank or a "
        "line break at an end. `mlengine keys add` makes another.",
    ),
    ProblemKind(
        "forbidden",
        (403,),
        "Who asks may not do this: the key lacks a scope, or activation without a key is off here.",
        "Use a key with the scope that `detail` names, or the route that it names.",
    ),
    ProblemKind(
        "not_found",
        (404,),
        "There is no such route.",
        "Compare the path with the list of routes: no slash at its end, no second one inside.",
    ),
    ProblemKind(
        "unknown_symbol",
        (404,),
        "The market-data service knows no such symbol.",
        "Write it as its market does: `BRK-B` is not `BRK.B`. `mlengine bars check` lists the "
        "symbols of a folder of prices.",
    ),
    ProblemKind(
        "model_not_found",
        (404,),
        "There is no such version, or no such model line. After a rollback: nothing was active "
        "before.",
        "`GET /models` lists the versions, `GET /lines` the lines. A pruned version does not come "
        "back; train it again.",
    ),
    ProblemKind(
        "line_retired",
        (410,),
        "The model line serves and trains no more. Its versions, predictions and history can "
        "still be read.",
        "Ask another line; `GET /lines` lists them. `POST /admin/lines` with the same name "
        "brings it back.",
    ),
    ProblemKind(
        "prediction_not_found",
        (404,),
        "The audit has no prediction with this id.",
        "Where `detail` says that it may wait in the spool, ask again once the database can be "
        "written. Else it was cleared or pruned, or never made here.",
    ),
    ProblemKind(
        "hook_not_found",
        (404,),
        "There is no webhook with this id.",
        "`GET /admin/hooks` lists them.",
    ),
    ProblemKind(
        "too_many_hooks",
        (409,),
        "There are as many webhooks as a platform keeps, which is twenty.",
        "Remove one that is not needed any more.",
    ),
    ProblemKind(
        "too_many_streams",
        (503,),
        "The web worker that took the request serves as many streams of events as it may.",
        "Ask again after `Retry-After`: another worker may have room, or use a webhook.",
    ),
    ProblemKind(
        "run_not_found",
        (404,),
        "There is no training run with this id; without an id, none is queued or running.",
        "`GET /admin/train/runs` lists them.",
    ),
    ProblemKind(
        "export_not_found",
        (404,),
        "There is no export with this id, or none any more: they are kept for a day. Or it has no "
        "file, or none yet; `detail` says its state.",
        "`GET /signals/exports/{export_id}` says when there is a file, and why there will be none. "
        "Ask for an expired one again.",
    ),
    ProblemKind(
        "method_not_allowed",
        (405,),
        "The route is there, but not for this method.",
        "The header `Allow` lists the methods.",
    ),
    ProblemKind(
        "training_in_progress",
        (409,),
        "A run is queued or running, and there is one at a time.",
        "Wait for the run that `run_id` names, or cancel it. A request that may be sent twice "
        "carries an `Idempotency-Key`.",
        ("run_id",),
    ),
    ProblemKind(
        "run_not_cancellable",
        (409,),
        "The run has ended, or its version is being published at this moment.",
        "Nothing is to be done: its status says how it ended.",
        ("run_id",),
    ),
    ProblemKind(
        "feature_set_mismatch",
        (409,),
        "The version was trained on features that this platform does not serve, or serves in "
        "another definition.",
        "Install the code with that feature set, or train a new version on today's.",
    ),
    ProblemKind(
        "interval_mismatch",
        (409,),
        "The version was trained on bars of another length than this platform serves.",
        "Set `MARKET_DATA_INTERVAL` to the version's interval, or train a new version.",
    ),
    ProblemKind(
        "approval_needed",
        (409,),
        "`ACTIVATION_APPROVALS` is on, and who asked for this activation can't confirm it too.",
        "Let the holder of another key send the same request.",
    ),
    ProblemKind(
        "payload_too_large",
        (413,),
        "The body is larger than 1 MiB.",
        "Split the batch.",
    ),
    ProblemKind(
        "unsupported_media_type",
        (415,),
        "The body is not declared as JSON.",
        "Send `Content-Type: application/json`.",
    ),
    ProblemKind(
        "insufficient_bars",
        (422,),
        "The symbol has fewer final bars by then than the feature window needs.",
        "Ask for a later `as_of`: from `first_possible` on there are enough, where it is given.",
        ("first_possible",),
    ),
    ProblemKind(
        "rate_limited",
        (429,),
        "The client's budget of requests is used up, or too many keys from its address were wrong "
        "(`FAILED_KEYS_PER_MINUTE`).",
        "Wait for `Retry-After` seconds. A batch counts as one request, whatever its size.",
    ),
    ProblemKind(
        "internal",
        (500,),
        "A fault of the platform.",
        "Give the `request_id` to the operator: the log has the details under it.",
    ),
    ProblemKind(
        "upstream_invalid",
        (502,),
        "The market-data service answered with something that is no market data, or refuses to "
        "answer.",
        "`mlengine doctor` shows what it answers. A revoked key is the most frequent reason.",
    ),
    ProblemKind(
        "upstream_unavailable",
        (503,),
        "The market-data service can't be reached, or not in time.",
        "Wait for `Retry-After` seconds. Symbols whose bars are stored are answered meanwhile, "
        "marked `degraded`.",
    ),
    ProblemKind(
        "no_active_model",
        (503,),
        "No version is active.",
        "Train one (`mlengine train`), or activate one that is there.",
    ),
    ProblemKind(
        "not_ready",
        (503,),
        "The active version does not go with this platform's settings; `detail` says why.",
        "Change the settings back, or activate a version that goes with them.",
    ),
    ProblemKind(
        "artifact_corrupt",
        (503,),
        "The files of the version differ from the digests in its manifest, or can't be read.",
        "`mlengine models verify` names them. Restore them from a backup, or activate another "
        "version.",
    ),
    ProblemKind(
        "artifacts_unavailable",
        (503,),
        "The folder of the versions can't be written: the disk is full, or read-only.",
        "Make room, or give the platform's user the right to write. What is published stays.",
    ),
    ProblemKind(
        "audit_unavailable",
        (503,),
        "The audit's database can't be used. A prediction is answered as long as the spool can "
        "be written in its place.",
        "Look at the disk and at the database that `AUDIT_DATABASE_URL` names; `mlengine doctor` "
        "tries both.",
    ),
    ProblemKind(
        "queue_unavailable",
        (503,),
        "The server of the job queue can't be reached, so no training can be started.",
        "Start it again; `mlengine up` does so by itself. Predictions don't need it.",
    ),
    ProblemKind(
        "admin_disabled",
        (503,),
        "No key is configured, so nobody may use the admin routes.",
        "Set `ADMIN_API_KEY` or `API_KEYS_FILE` and start again.",
    ),
)
BY_CODE = {kind.code: kind for kind in PROBLEMS}
