"""What proxies in front say of a request, believed for as many of them as the operator trusts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from werkzeug.middleware.proxy_fix import ProxyFix

PREFIX_HEADER = "X-Forwarded-Prefix"
_ENVIRON_KEY = "HTTP_X_FORWARDED_PREFIX"
# Never `//`: a link that began with it would lead to another host.
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")
_LONGEST_PREFIX = 256

Application = Callable[..., Any]


def trust_proxies(app: Application, hops: int) -> Application:
    """`app`, which believes `X-Forwarded-For` for that many hops, and not at all for 0."""
    return ProxyFix(app, x_for=hops, x_proto=0, x_host=0) if hops > 0 else app


def take_prefix(app: Application, hops: int) -> Application:
    """`app`, whose links begin with what that many proxies took off the path; nothing for 0."""
    if hops == 0:
        return app

    def prefixed(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        stated = environ.get(_ENVIRON_KEY)
        if stated:
            environ["SCRIPT_NAME"] = forwarded_prefix(stated, hops)
        return app(environ, start_response)

    return prefixed


def forwarded_prefix(stated: str, hops: int) -> str:
    """The prefix by the newest `hops` values of `stated`, the outermost first.

    Empty where one of them is no plain absolute path.
    """
    newest = [value.strip() for value in stated.split(",")][-hops:]
    given = [value for value in newest if value.strip("/")]
    if not all(_PREFIX.fullmatch(value) for value in given):
        return ""
    prefix = "".join(value.rstrip("/") for value in given)
    return prefix if len(prefix) <= _LONGEST_PREFIX else ""
