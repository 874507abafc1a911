"""Answers that a client may keep: what was asked for as of a past time."""

import hashlib
from datetime import datetime
from typing import cast

from flask import Response, current_app

from mlengine import __version__
from mlengine.core.bars.intervals import INTERVALS
from mlengine.web.http.requests import settings
from mlengine.web.http.responses import Body

_CLOSED = "max-age=86400, immutable"
# A bar may still come late: keep the answer, but ask again.
_SETTLING = "no-cache"


def cacheable_response(
    body: Body, *, etag_of: tuple[object, ...], as_of: datetime, now: datetime, interval: str
) -> Response:
    """`body` with a strong ETag over `etag_of`, which determine it.

    It is closed once an interval has passed since `as_of`.
    """
    response = cast("Response", current_app.json.response(body))
    parts = "\n".join(str(part) for part in (__version__, as_of.isoformat(), *etag_of))
    response.set_etag(hashlib.sha256(parts.encode()).hexdigest())
    closed = now - as_of >= INTERVALS[interval]
    response.headers["Cache-Control"] = f"{_whose_cache()}, {_CLOSED}" if closed else _SETTLING
    return response


def _whose_cache() -> str:
    """What needs a key is kept by its holder alone, not by a proxy for all."""
    return "private" if settings().access.require_key_everywhere else "public"
