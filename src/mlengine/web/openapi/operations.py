"""One view under one path and method, as an operation of the OpenAPI document."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from werkzeug.routing import Rule

from mlengine.core.line_names import LINE_NAME
from mlengine.web.http.auth import ACTIVATION, KEY, OPEN_BY_DEFAULT, Guard, guard_of
from mlengine.web.http.contract import Contract, contract_of
from mlengine.web.http.requests import IDEMPOTENCY_HEADER, KEY_HEADER
from mlengine.web.openapi.answer_schemas import AnswerSchemas
from mlengine.web.openapi.headers import header_references
from mlengine.web.openapi.page_files import MEDIA_TYPES
from mlengine.web.openapi.problem_schemas import problem_responses
from mlengine.web.schemas.answers import Formats
from mlengine.web.schemas.fields import Version
from mlengine.web.schemas.predictions import PREDICTION_ID
from mlengine.web.schemas.signals.queries import EXPORT_ID
from mlengine.web.schemas.webhooks import HOOK_ID

View = Callable[..., object]
JsonSchema = dict[str, Any]

KEY_SCHEME = "ApiKey"
SECURITY_SCHEME = {
    "type": "apiKey",
    "in": "header",
    "name": KEY_HEADER,
    "description": "A key of this platform; answers name the `actor`, whose key it was. An admin's "
    "key has every scope. Where a key is optional, `REQUIRE_KEY=all` asks for it.",
}
# Under which heading the routes of a blueprint stand.
SECTIONS = {
    "health": "Health",
    "bars": "Features",
    "features": "Features",
    "predict": "Predictions",
    "predictions": "Predictions",
    "signals": "Predictions",
    "models": "Models",
    "lines": "Models",
    "monitoring": "Monitoring",
    "metrics": "Monitoring",
    "training": "Administration",
    "admin": "Administration",
    "webhooks": "Administration",
    "events": "Monitoring",
    "documents": "Documents",
}
_UNLIMITED = "health"
_JSON = "application/json"
# What a server may say to any request: its line, its headers and its body have limits.
_ALWAYS = (
    *(f"invalid_request:{status}" for status in (400, 414, 417, 431, 501)),
    "payload_too_large",
    "internal",
)
_PATH_PATTERNS = {
    "version": Version.pattern.pattern,
    "prediction_id": PREDICTION_ID.pattern,
    "hook_id": HOOK_ID.pattern,
    "export_id": EXPORT_ID.pattern,
    "name": LINE_NAME.pattern,
    "page_file": "|".join(map(re.escape, MEDIA_TYPES)),
}
_HEADERS: dict[str, JsonSchema] = {
    IDEMPOTENCY_HEADER: {
        "description": "The same key with the same body gets the same answer, however often.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
    },
    "Last-Event-ID": {
        "description": "The `id` of the last event that came; what came since is sent.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    },
    "If-None-Match": {
        "description": "The `ETag` of an earlier answer; 304 where it is still the same.",
        "schema": {"type": "string"},
    },
}


def path_of(rule: Rule) -> str:
    """In the document's way: `/models/{version}`."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)


def operation(rule: Rule, method: str, view: View, schemas: AnswerSchemas) -> JsonSchema:
    """Raises LookupError for a view that says nothing of itself."""
    contract = contract_of(view)
    if contract is None:
        raise LookupError(f"{rule.endpoint} has no contract")
    summary, _, description = (inspect.getdoc(view) or "").partition("\n\n")
    return {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path_of(rule)}").strip("_"),
        "tags": [SECTIONS[rule.endpoint.partition(".")[0]]],
        "summary": summary.replace("\n", " "),
        **({"description": description} if description else {}),
        **({"deprecated": True} if contract.deprecated else {}),
        "security": [*_security(guard_of(view))],
        "parameters": [*_path_parameters(rule), *_parameters(contract)],
        **_request_body(contract),
        "responses": _with_headers(
            {
                **_answers(contract, schemas),
                **problem_responses(_problem_codes(rule, method, view, contract)),
            }
        ),
    }


def _with_headers(responses: JsonSchema) -> JsonSchema:
    return {
        status: {**each, "headers": {**each.get("headers", {}), **header_references(status)}}
        for status, each in responses.items()
    }


def _security(guard: Guard | None) -> Iterator[JsonSchema]:
    """Any one of these; the first without a key where none is needed by default."""
    if guard and guard.kind in (ACTIVATION, OPEN_BY_DEFAULT):
        yield {}
    for scope in guard.scopes if guard else ():
        yield {KEY_SCHEME: [scope]}


def _path_parameters(rule: Rule) -> Iterator[JsonSchema]:
    for name in sorted(rule.arguments):
        pattern = f"^(?:{_PATH_PATTERNS[name]})$"
        schema = {"type": "string", "pattern": pattern}
        yield {"in": "path", "name": name, "required": True, "schema": schema}


def _parameters(contract: Contract) -> Iterator[JsonSchema]:
    if contract.query:
        yield {"in": "query", "schema": contract.query}
    for name in contract.headers:
        yield {"in": "header", "name": name, **_HEADERS[name]}


def _request_body(contract: Contract) -> JsonSchema:
    if contract.body is None:
        return {}
    content = {_JSON: {"schema": contract.body}}
    return {"requestBody": {"required": contract.body_required, "content": content}}


def _answers(contract: Contract, schemas: AnswerSchemas) -> JsonSchema:
    answers = contract.answers.items()
    return {str(status): _answer(status, body, schemas) for status, body in answers}


def _answer(status: int, body: object, schemas: AnswerSchemas) -> JsonSchema:
    if isinstance(body, str | tuple):  # media types, of which there is no more to say
        kinds = (body,) if isinstance(body, str) else body
        text = {"schema": {"type": "string"}}
        return {"description": "As it is.", "content": dict.fromkeys(kinds, text)}
    if body is None:
        return {"description": "Nothing has changed since."}
    others = body.others if isinstance(body, Formats) else ()
    shape = body.json if isinstance(body, Formats) else body
    file = {"schema": {"type": "string"}}
    response: JsonSchema = {
        "description": "Accepted." if status == 202 else "What was asked for.",
        "content": {_JSON: {"schema": schemas.of(shape)}, **dict.fromkeys(others, file)},
    }
    if status == 202:
        location = {"description": "Where its status is.", "schema": {"type": "string"}}
        response["headers"] = {"Location": {**location, "required": True}}
    return response


def _problem_codes(rule: Rule, method: str, view: View, contract: Contract) -> Iterator[str]:
    yield from contract.problems
    yield from _ALWAYS
    if rule.endpoint.partition(".")[0] != _UNLIMITED:
        yield "rate_limited"
    if rule.arguments:
        yield "not_found"
    yield from _of_schemas(contract)
    yield from _of_guard(guard_of(view), method)


def _of_schemas(contract: Contract) -> Iterator[str]:
    schemas = [schema for schema in (contract.query, contract.body) if schema is not None]
    if schemas or contract.headers:
        yield "invalid_request:422"
    if any("model" in schema.fields for schema in schemas):
        yield "model_not_found"
    if contract.body is not None:
        yield "unsupported_media_type"


def _of_guard(guard: Guard | None, method: str) -> Iterator[str]:
    kind = guard.kind if guard else None
    if kind in (KEY, ACTIVATION, OPEN_BY_DEFAULT):
        yield from ("unauthorized", "forbidden", "rate_limited")
    if kind == KEY:
        yield "admin_disabled"
    if kind in (KEY, ACTIVATION) and method != "GET":
        yield "audit_unavailable"
