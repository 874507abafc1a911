"""Who may: every view carries exactly one of these decisions, made where it is defined."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request

from mlengine.errors import AdminDisabled, Forbidden, Unauthorized
from mlengine.web.requests import settings

PUBLIC, ADMIN, ACTIVATION = "public", "admin", "public_activation"
KEY_HEADER = "X-API-Key"

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
        return view(*args, **kwargs)

    return _decided(guarded, ACTIVATION)


def guard_of(view: object) -> str | None:
    """Which decision a view carries, None for a view that has none."""
    return getattr(view, "guard", None)


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
