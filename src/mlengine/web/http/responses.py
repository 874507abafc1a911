"""What goes out: orjson for every body, one shape for every problem."""

from datetime import datetime
from typing import Any

import orjson
from flask import Response, g
from flask.json.provider import JSONProvider

from mlengine.core.timestamps import rfc3339

Body = dict[str, Any]

PROBLEM_TYPE = "application/problem+json"


class OrjsonProvider(JSONProvider):
    """Floats in shortest round-trip form, NaN and infinities as null, times with `Z`."""

    def dumps(self, obj: Any, **_: Any) -> str:
        return encode(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(
            encode(self._prepare_response_obj(args, kwargs)), mimetype="application/json"
        )


def encode(value: object) -> bytes:
    """`value` as JSON; raises TypeError for a naive time or an unknown type."""
    return orjson.dumps(
        value,
        default=_encode_time,
        option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_SERIALIZE_NUMPY,
    )


def json_response(body: Body) -> Response:
    return Response(encode_trusted_utc(body), mimetype="application/json")


def encode_trusted_utc(body: Body) -> bytes:
    """`body` as JSON without a call back: dataclasses field by field, times in UTC only."""
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)


def problem(
    *, status: int, code: str, title: str, detail: str, extra: dict[str, Any] | None = None
) -> Response:
    """An RFC 9457 problem; its `code` also goes to the request's log line."""
    g.problem_code = code
    members = problem_members(status, code, title, detail, g.request_id) | (extra or {})
    return Response(encode(members), status=status, mimetype=PROBLEM_TYPE)


def problem_members(status: int, code: str, title: str, detail: str, request_id: str) -> Body:
    return {
        "type": type_of_problem(code),
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }


def type_of_problem(code: str) -> str:
    """Stable; docs/problems.md has a section for each."""
    return f"urn:mlengine:problem:{code}"


def _encode_time(value: object) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return rfc3339(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
