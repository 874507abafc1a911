"""Who may: every view carries exactly one of these decisions, made where it is defined.

What a key holder asks to be changed stands in the history before it is tried.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request

from mlengine.core.keys import Scope
from mlengine.errors import AdminDisabled, Forbidden
from mlengine.web.http.failed_keys import authenticate
from mlengine.web.http.requests import platform, request_time, settings

PUBLIC, OPEN_BY_DEFAULT, KEY, ACTIVATION = "public", "open_by_default", "key", "public_activation"
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_LOGGED_ARGUMENT_LENGTH = 64

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Guard:
    """A decision; where it asks for a key, one with any of `scopes` will do."""

    kind: str
    scopes: tuple[Scope, ...] = ()


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Anyone may, whatever REQUIRE_KEY says."""
    return _with_guard(view, Guard(PUBLIC))


def open_by_default(scope: Scope) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Anyone may, but with REQUIRE_KEY=all only who holds a key with `scope`."""

    def guard(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            if settings().access.require_key_everywhere:
                g.actor = _authorize((scope,))
            return view(*args, **kwargs)

        return _with_guard(guarded, Guard(OPEN_BY_DEFAULT, (scope,)))

    return guard


def requires(*scopes: Scope) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Whoever holds a key with one of `scopes` may; its name becomes `g.actor`."""

    def guard(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            if not platform().keys.has_keys:
                raise AdminDisabled
            g.actor = _authorize(scopes)
            _record_admin_action()
            return view(*args, **kwargs)

        return _with_guard(guarded, Guard(KEY, scopes))

    return guard


def public_activation(view: Callable[P, R]) -> Callable[P, R]:
    """Anyone may where PUBLIC_ACTIVATION is on, but with REQUIRE_KEY=all; else it names another."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if not settings().public_activation:
            raise Forbidden(
                "activation without a key is off here; use POST /admin/activate/{version}"
            )
        g.actor = PUBLIC
        if settings().access.require_key_everywhere:
            g.actor = _authorize(("activate",))
        _record_admin_action()
        return view(*args, **kwargs)

    return _with_guard(guarded, Guard(ACTIVATION, ("activate",)))


def guard_of(view: object) -> Guard | None:
    """Which decision a view carries, None for a view that has none."""
    return getattr(view, "guard", None)


def _authorize(scopes: tuple[Scope, ...]) -> str:
    """The name of the key that was presented; raises Forbidden where it has none of `scopes`."""
    holder = authenticate()
    if holder.scopes.isdisjoint(scopes):
        wanted = " or ".join(f"`{scope}`" for scope in scopes)
        raise Forbidden(f"this needs a key with the scope {wanted}")
    return holder.name


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


def _with_guard(view: Callable[P, R], guard: Guard) -> Callable[P, R]:
    view.guard = guard  # type: ignore[attr-defined]
    return view
