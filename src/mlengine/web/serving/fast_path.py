"""The short way to `/predict`: the plain question, answered without the framework around it.

Dispatching, hooks and response object of the framework cost more than the prediction. What is
asked in any other form, and every failure, goes through the framework: there is one place that
knows errors, and a test holds the answers of both ways to each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from flask import Flask

from mlengine import logs
from mlengine.web.http import hooks, request_ids
from mlengine.web.http.limits import Admit
from mlengine.web.http.requests import PLATFORM
from mlengine.web.http.responses import encode_utc
from mlengine.web.schemas.predict import plain_question, prediction_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FAILED = "mlengine.failed"
COUNTER_PATHS = "mlengine.counter"
_NO_BODY = ("", "0")


def init_app(app: Flask, *, paths: Iterable[str], admit: Admit | None) -> None:
    """Take the plain questions at `paths`, of those whom `admit` counts and lets in."""
    listed = frozenset(paths)
    app.wsgi_app = _Quick(app, listed, admit)  # type: ignore[method-assign]
    if admit is None:
        app.extensions[COUNTER_PATHS] = listed


class _Quick:
    def __init__(self, app: Flask, paths: frozenset[str], admit: Admit | None) -> None:
        self._admit = admit
        self._framework: WSGIApplication = app.wsgi_app
        self._platform = app.extensions[PLATFORM]
        self._paths = paths

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked = plain_question(environ.get("QUERY_STRING", "")) if self._plain(environ) else None
        if asked is None:
            return self._framework(environ, start_response)
        counted = self._admit(environ) if self._admit else []
        if counted is None:
            return self._framework(environ, start_response)
        started = environ[hooks.STARTED] = perf_counter()
        request_id = environ[request_ids.KEY] = hooks.request_id_of(environ)
        with logs.bound_ids(request=request_id):
            try:
                made = self._platform.predict.predict(
                    **asked, request_id=request_id, now=datetime.now(UTC)
                )
            except Exception as error:
                environ[FAILED] = error
                return self._framework(environ, start_response)
            body = encode_utc(prediction_body(made))
            with logs.bound_ids(version=made.model_version):
                hooks.log_request("GET", environ["PATH_INFO"], 200, started)
        start_response("200 OK", _headers(body, request_id) + counted)
        return [body]

    def _plain(self, environ: WSGIEnvironment) -> bool:
        return (
            environ["PATH_INFO"] in self._paths
            and environ["REQUEST_METHOD"] == "GET"
            and environ.get("CONTENT_LENGTH", "") in _NO_BODY
            and "HTTP_TRANSFER_ENCODING" not in environ
        )


def failure_of(environ: dict[str, Any]) -> BaseException | None:
    """Why the short way could not answer: that is audited, and must not be tried again."""
    failed: BaseException | None = environ.get(FAILED)
    return failed


def _headers(body: bytes, request_id: str) -> list[tuple[str, str]]:
    return [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        (request_ids.HEADER, request_id),
        *hooks.ALWAYS,
    ]
