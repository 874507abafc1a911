"""What came in: the platform it is for, its query, its body, its moment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from flask import current_app, g, request
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
from werkzeug.routing import BaseConverter

from mlengine.config import Settings
from mlengine.errors import InvalidRequest

if TYPE_CHECKING:
    from mlengine.bootstrap.platform import Platform

PLATFORM, SETTINGS = "mlengine", "mlengine.settings"

IDEMPOTENCY_HEADER = "Idempotency-Key"
_KEY = re.compile(r"[!-~]{1,200}")

Loaded = dict[str, Any]


class VersionPath(BaseConverter):
    """All the rest of a path, so that one with slashes is a version that nobody has.

    What begins with `activate/` is left to the routes of that name.
    """

    part_isolating = False
    regex = "(?s:(?!activate/).+)"
    weight = 200


def platform() -> Platform:
    return cast("Platform", current_app.extensions[PLATFORM])


def settings() -> Settings:
    return cast("Settings", current_app.extensions[SETTINGS])


def moment() -> datetime:
    """The moment at which this request came in; one for the whole request."""
    return cast("datetime", g.moment)


def query(schema: Schema) -> Loaded:
    """The query parameters by `schema`; raises InvalidRequest, also for one given twice."""
    repeated = {
        name: ["given more than once"] for name, values in request.args.lists() if len(values) > 1
    }
    if repeated:
        raise InvalidRequest(repeated)
    return _load(schema, request.args.to_dict())


def body(schema: Schema, *, required: bool = False) -> Loaded:
    """The JSON object of the body by `schema`; no body at all is `{}` unless `required`.

    Raises BadRequest for what is not JSON or broke off, UnsupportedMediaType for another type,
    and InvalidRequest for fields that `schema` refuses.
    """
    sent = request.get_data(cache=True)
    if len(sent) < (request.content_length or 0):  # else a lost body would pass for none
        raise BadRequest
    if not sent:
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


def _load(schema: Schema, given: Mapping[str, object]) -> Loaded:
    try:
        return cast("Loaded", schema.load(given))
    except ValidationError as refusal:
        raise InvalidRequest(dict(_flat(_messages(refusal)))) from None


def _messages(refusal: ValidationError) -> Mapping[Any, Any]:
    said = refusal.messages
    return said if isinstance(said, dict) else {"_schema": said}


def _flat(messages: Mapping[Any, Any], prefix: str = "") -> list[tuple[str, list[str]]]:
    """`{"symbols": {2: [...]}}` as `symbols.2`; what concerns the whole is `body`."""
    flat: list[tuple[str, list[str]]] = []
    for name, said in messages.items():
        path = f"{prefix}{'body' if name == '_schema' else name}"
        flat += _flat(said, f"{path}.") if isinstance(said, dict) else [(path, said)]
    return flat
