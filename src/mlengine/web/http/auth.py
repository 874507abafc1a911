"""Who may: every view carries exactly one of these decisions, made where it is defined.

What a key holder asks to be changed stands in the history before it is tried.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request

from mlengine.errors import AdminDisabled, Forbidden, Unauthorized
from mlengine.web.http.requests import moment, platform, settings

PUBLIC, ADMIN, ACTIVATION = "public", "admin", "public_activation"
KEY_HEADER = "X-API-Key"
_READING = frozenset({"GET", "HEAD"})
_NOTED_LENGTH = 64

P = ParamSpec("P")
R = TypeVar("R")


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Anyone may."""
    return _decided(view, PUBLIC)


def admin_required(view: Callable[P, R]) -> Callable[P, R]:
    """Whoever holds an admin key may; its name becomes `g.actor`."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        keys = settings().admin_api_keys
        if not keys:
            raise AdminDisabled
        g.actor = _holder(keys, request.headers.get(KEY_HEADER, ""))
        _note()
        return view(*args, **kwargs)

    return _decided(guarded, ADMIN)


def public_activation(view: Callable[P, R]) -> Callable[P, R]:
    """Anyone may where PUBLIC_ACTIVATION is on; elsewhere the admin route is named."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if not settings().public_activation:
            raise Forbidden(
                "activation without a key is off here; use POST /admin/activate/{version}"
            )
        g.actor = PUBLIC
        _note()
        return view(*args, **kwargs)

    return _decided(guarded, ACTIVATION)


def guard_of(view: object) -> str | None:
    """Which decision a view carries, None for a view that has none."""
    return getattr(view, "guard", None)


def _note() -> None:
    """Who asked for what, under which request id; raises AuditUnavailable, and nothing is done."""
    if request.method in _READING:
        return
    arguments = {
        name: str(said)[:_NOTED_LENGTH] for name, said in (request.view_args or {}).items()
    }
    rule = request.url_rule.rule if request.url_rule else ""
    details = {"method": request.method, "route": rule, "request_id": g.request_id}
    platform().control.events.append(
        "admin_action",
        at=moment(),
        version=None,
        actor=g.actor,
        details={**details, "arguments": arguments},
    )


def _decided(view: Callable[P, R], guard: str) -> Callable[P, R]:
    view.guard = guard  # type: ignore[attr-defined]
    return view


def _holder(keys: Mapping[str, str], given: str) -> str:
    """The name of the key that was given; compares with every key, whichever matches."""
    presented = given.encode("latin-1", "replace")
    holder = None
    for name, key in keys.items():
        if hmac.compare_digest(key.encode(), presented):
            holder = name
    if holder is None:
        raise Unauthorized
    return holder
