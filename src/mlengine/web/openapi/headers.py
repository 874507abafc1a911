"""Headers of answers in the OpenAPI document: described once, and referred to by each answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlengine.web.http import request_ids
from mlengine.web.http.intermediaries.cors import ALLOW_ORIGIN
from mlengine.web.http.rate_limit_headers import LIMIT, POLICY, REMAINING, RESET, STATE

JsonSchema = dict[str, Any]

_COUNT: JsonSchema = {"type": "integer", "minimum": 0}
_RETRY_AFTER = "Retry-After"
_LIMITED = (LIMIT, REMAINING, RESET, POLICY, STATE)
_DESCRIBED: dict[str, tuple[str, JsonSchema]] = {
    request_ids.HEADER: (
        "The id of the request, which stands in the log and in the audit.",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    ),
    LIMIT: ("Requests that a client may make in a window.", _COUNT),
    REMAINING: ("Requests that are left.", _COUNT),
    RESET: ("When there are more, in seconds since 1970-01-01 UTC.", _COUNT),
    POLICY: (
        "The limit: `q` requests in any `w` seconds.",
        {"type": "string", "pattern": r'^"default";q=\d+;w=\d+$'},
    ),
    STATE: (
        "What is left of it: `r` requests now, and more in `t` seconds.",
        {"type": "string", "pattern": r'^"default";r=\d+;t=\d+$'},
    ),
    ALLOW_ORIGIN: (
        "With `CORS_ORIGINS`: the origin of the page that may read the answer, or `*`.",
        {"type": "string"},
    ),
    "Vary": (
        "Headers of the request that another answer would follow from.",
        {"type": "string"},
    ),
    "Content-Encoding": ("`gzip` where the client takes it.", {"const": "gzip"}),
    _RETRY_AFTER: ("Seconds to wait.", {"type": "integer", "minimum": 1}),
}


def described_headers() -> dict[str, JsonSchema]:
    """By name, for the components of the document."""
    described: dict[str, JsonSchema] = {
        name: {"description": text, "schema": schema} for name, (text, schema) in _DESCRIBED.items()
    }
    described[request_ids.HEADER]["required"] = True
    return described


def header_references(status: str) -> dict[str, JsonSchema]:
    """What an answer with `status` has beside its own; those of the limit where there is one."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in _names(status)}


def _names(status: str) -> Iterator[str]:
    yield request_ids.HEADER
    yield from _LIMITED
    yield from (ALLOW_ORIGIN, "Vary", "Content-Encoding")
    if status in ("429", "503"):
        yield _RETRY_AFTER
