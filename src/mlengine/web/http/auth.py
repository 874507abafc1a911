"""Who may: every view carries exactly one of these decisions, made where it is defined.

What a key holder asks to be changed stands in the history before it is tried.
"""

import hmac
from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request

from mlengine.errors import AdminDisabled, Forbidden, Unauthorized
from mlengine.web.http.requests import platform, request_time, settings

PUBLIC, ADMIN, ACTIVATION = "public", "admin", "public_activation"
KEY_HEADER = "X-API-Key"
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_LOGGED_ARGUMENT_LENGTH = 64

P = ParamSpec("P")
R = TypeVar("R")


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Anyone may."""
    return _with_guard(view, PUBLIC)


def admin_required(view: Callable[P, R]) -> Callable[P, R]:
    """Whoever holds an admin key may; its name becomes `g.actor`."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        keys = settings().admin_api_keys
        if not keys:
            raise AdminDisabled
        g.actor = _authenticate(keys, request.headers.get(KEY_HEADER, ""))
        _record_admin_action()
        return view(*args, **kwargs)

    return _with_guard(guarded, ADMIN)


def public_activation(view: Callable[P, R]) -> Callable[P, R]:
    """Anyone may where PUBLIC_ACTIVATION is on; elsewhere the admin route is named."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if not settings().public_activation:
            raise Forbidden(
                "activation without a key is off here; use POST /admin/activate/{version}"
            )
        g.actor = PUBLIC
        _record_admin_action()
        return view(*args, **kwargs)

    return _with_guard(guarded, ACTIVATION)


def guard_of(view: object) -> str | None:
    """Which decision a view carries, None for a view that has none."""
    return getattr(view, "guard", None)


def _record_admin_action() -> None:
    """Who asks for what under which id; raises DatabaseUnavailable, and nothing is done."""
    if request.method in _SAFE_METHODS:
        return
    arguments = {
        name: str(value)[:_LOGGED_ARGUMENT_LENGTH]
        for name, value in (request.view_args or {}).items()
    }
    details = {
        "method": request.method,
        "route": request.url_rule.rule if request.url_rule else "",
        "request_id": g.request_id,
        "arguments": arguments,
    }
    platform().control.events.append(
        "admin_action", at=request_time(), version=None, actor=g.actor, details=details
    )


def _with_guard(view: Callable[P, R], guard: str) -> Callable[P, R]:
    view.guard = guard  # type: ignore[attr-defined]
    return view


def _authenticate(keys: Mapping[str, str], presented_key: str) -> str:
    """The name of `presented_key`; compares with every key, whichever matches."""
    presented = presented_key.encode("latin-1", "replace")
    names = [name for name, key in keys.items() if hmac.compare_digest(key.encode(), presented)]
    if not names:
        raise Unauthorized
    return names[-1]
