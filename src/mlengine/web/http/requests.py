"""What came in: the platform it is for, its query, its body, its time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from flask import current_app, g, request
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
from werkzeug.routing import BaseConverter

from mlengine.config import Settings
from mlengine.core.line_names import MODEL_LINE
from mlengine.errors import InvalidRequest

if TYPE_CHECKING:
    from mlengine.bootstrap.platform import Platform

PLATFORM, SETTINGS = "mlengine", "mlengine.settings"

IDEMPOTENCY_HEADER = "Idempotency-Key"
KEY_HEADER = "X-API-Key"
_KEY = re.compile(r"[!-~]{1,200}")

# When the request of this thread was read, by `perf_counter`; None outside of the server.
read_at: ContextVar[float | None] = ContextVar("read_at", default=None)

Parameters = dict[str, Any]


class VersionPath(BaseConverter):
    """All the rest of a path, so that one with slashes is a version that nobody has.

    What begins with `activate/` is left to the routes of that name.
    """

    part_isolating = False
    regex = "(?s:(?!activate/).+)"
    weight = 200


def platform() -> Platform:
    return cast("Platform", current_app.extensions[PLATFORM])


def ask_line(name: str) -> None:
    """Let `name` be the model line that this request is about.

    Raises LineNotFound, and InvalidRequest where query and body name two.
    """
    if g.setdefault("model_line", name) != name:
        raise InvalidRequest({"model": ["must be one line, in the query or in the body"]})
    platform().of_line(name)


def ask_lines(names: Sequence[str]) -> None:
    """As `ask_line`, where a request may name several."""
    for name in names:
        platform().of_line(name)
    if g.setdefault("model_lines", names) != names:
        raise InvalidRequest({"model": ["must be the same in the query and in the body"]})


def asked_lines() -> dict[str, Platform]:
    """As `asked_line`, by name, for a request that may name several; each must serve."""
    names = g.get("model_lines", (MODEL_LINE,))
    return {name: platform().of_line(name, must_serve=True) for name in names}


def asked_line(*, must_serve: bool = False) -> Platform:
    """The platform of the line that the request, whose schemas are loaded, names; else of `main`.

    Raises LineRetired where it `must_serve` and does no more.
    """
    return platform().of_line(asked_line_name(), must_serve=must_serve)


def asked_line_name() -> str:
    """Its name."""
    return cast("str", g.get("model_line", MODEL_LINE))


def settings() -> Settings:
    return cast("Settings", current_app.extensions[SETTINGS])


def request_time() -> datetime:
    """When this request came in; one time for the whole request."""
    return cast("datetime", g.received_at)


def load_query(schema: Schema) -> Parameters:
    """The query parameters by `schema`; raises InvalidRequest, also for one given twice."""
    repeated = {
        name: ["given more than once"] for name, values in request.args.lists() if len(values) > 1
    }
    if repeated:
        raise InvalidRequest(repeated)
    return _load(schema, request.args.to_dict())


def load_body(schema: Schema, *, required: bool = False) -> Parameters:
    """The JSON object of the body by `schema`; no body at all is `{}` unless `required`.

    Raises BadRequest for what is not JSON or broke off, UnsupportedMediaType for another type,
    and InvalidRequest for fields that `schema` refuses.
    """
    received = request.get_data(cache=True)
    if len(received) < (request.content_length or 0):  # else a lost body would pass for none
        raise BadRequest
    if not received:
        if required:
            raise BadRequest
        return _load(schema, {})
    if not request.is_json:
        raise UnsupportedMediaType
    return _load(schema, request.get_json())


def idempotency_key() -> str | None:
    """The header Idempotency-Key; raises InvalidRequest for one that is no key."""
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest({IDEMPOTENCY_HEADER: ["must be 1 to 200 visible ASCII characters"]})
    return key


def _load(schema: Schema, values: Mapping[str, object]) -> Parameters:
    try:
        return cast("Parameters", schema.load(values))
    except ValidationError as error:
        raise InvalidRequest(_flatten(error.messages_dict)) from None


def _flatten(messages: Mapping[Any, Any], prefix: str = "") -> dict[str, list[str]]:
    """`{"symbols": {2: [...]}}` as `symbols.2`; what concerns the whole is `body`."""
    flat: dict[str, list[str]] = {}
    for name, value in messages.items():
        path = f"{prefix}{'body' if name == '_schema' else name}"
        flat |= _flatten(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return flat
