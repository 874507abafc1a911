"""Which pages of other origins a browser lets read the answers (CORS); none by default.

Keys come in a header and there are no cookies, so credentials are never allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from flask import Flask, Response, request

from mlengine.web.http import request_ids
from mlengine.web.http.rate_limit_headers import LIMIT, POLICY, REMAINING, RESET, STATE, Headers
from mlengine.web.http.requests import IDEMPOTENCY_HEADER, KEY_HEADER

ANY = "*"
ALLOW_ORIGIN = "Access-Control-Allow-Origin"
# Of what browsers hide from a page unless it is named here.
EXPOSED = (
    request_ids.HEADER,
    POLICY,
    STATE,
    LIMIT,
    REMAINING,
    RESET,
    "Retry-After",
    "Location",
    "ETag",
    "Deprecation",
    "Sunset",
    "Link",
)
_EXPOSE = ("Access-Control-Expose-Headers", ", ".join(EXPOSED))
_METHOD_HEADER = "Access-Control-Request-Method"
_METHODS = ("GET", "HEAD", "POST", "DELETE")
_REQUEST_HEADERS = (
    KEY_HEADER,
    "Content-Type",
    IDEMPOTENCY_HEADER,
    request_ids.HEADER,
    "If-None-Match",
    "traceparent",
    "tracestate",
)
_PREFLIGHT = (
    ("Access-Control-Allow-Methods", ", ".join(_METHODS)),
    ("Access-Control-Allow-Headers", ", ".join(_REQUEST_HEADERS)),
    ("Access-Control-Max-Age", "600"),
)


class CorsPolicy:
    """Exact origins, or ANY; none is no policy."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    def allows(self, origin: str) -> bool:
        return ANY in self._origins or origin in self._origins

    def headers(self, origin: str) -> Headers:
        """Of an answer to a page of `origin`, which is empty for any other client."""
        if not self._origins:
            return []
        if ANY in self._origins:
            return [(ALLOW_ORIGIN, ANY), _EXPOSE]
        allowed = [(ALLOW_ORIGIN, origin), _EXPOSE] if origin in self._origins else []
        return [*allowed, ("Vary", "Origin")]


def init_app(app: Flask, policy: CorsPolicy) -> None:
    """Must come between the hooks, which log, and the limiter, which counts no preflight."""

    def answer_preflight() -> Response | None:
        """What a browser asks by itself before a request, from a page that may make it."""
        origin = request.headers.get("Origin", "")
        is_preflight = request.method == "OPTIONS" and _METHOD_HEADER in request.headers
        if not (is_preflight and origin and policy.allows(origin)):
            return None
        return Response(status=HTTPStatus.NO_CONTENT, headers=_PREFLIGHT)

    def add_headers(response: Response) -> Response:
        for name, value in policy.headers(request.headers.get("Origin", "")):
            if name == "Vary":
                response.vary.add(value)
            else:
                response.headers[name] = value
        return response

    app.before_request(answer_preflight)
    app.after_request(add_headers)
