"""What goes out: orjson for every body, one shape for every problem."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import orjson
from flask import Response, g
from flask.json.provider import JSONProvider
from marshmallow import Schema

from mlengine.core.timestamps import rfc3339

Body = dict[str, Any]

PROBLEM_TYPE = "application/problem+json"


class OrjsonProvider(JSONProvider):
    """Floats in shortest round-trip form, NaN and infinities as null, moments with `Z`."""

    def dumps(self, obj: Any, **_: Any) -> str:
        return dump(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(dump(self._prepare_response_obj(args, kwargs)), mimetype="application/json")


def dump(value: object) -> bytes:
    """`value` as JSON; raises TypeError for a naive moment or an unknown type."""
    return orjson.dumps(
        value,
        default=_default,
        option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_SERIALIZE_NUMPY,
    )


def sent(body: Body) -> Response:
    """`body` as the answer, written at once: dataclasses field by field, moments in UTC only."""
    return Response(written(body), mimetype="application/json")


def written(body: Body) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)


def shown(schema: Schema, value: object) -> Body:
    """`value` as `schema` shows it to a client."""
    return cast("Body", schema.dump(value))


def problem(
    *, status: int, code: str, title: str, detail: str, extra: dict[str, Any] | None = None
) -> Response:
    """An RFC 9457 problem; its `code` also goes to the request's log line."""
    g.problem_code = code
    members = {
        "type": f"urn:mlengine:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": g.request_id,
        **(extra or {}),
    }
    return Response(dump(members), status=status, mimetype=PROBLEM_TYPE)


def _default(value: object) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return rfc3339(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
