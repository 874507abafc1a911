"""The one table from domain errors to HTTP, and the handlers that use it."""

import logging
from typing import Any

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException

from mlengine import errors
from mlengine.web.http.responses import problem

log = logging.getLogger(__name__)

STATUS: dict[type[errors.MlengineError], tuple[int, str]] = {
    errors.InvalidRequest: (422, "Invalid request"),
    errors.UnknownSymbol: (404, "Unknown symbol"),
    errors.InsufficientBars: (422, "Not enough bars"),
    errors.UpstreamInvalid: (502, "Upstream answer not usable"),
    errors.UpstreamUnavailable: (503, "Upstream not reachable"),
    errors.ModelNotFound: (404, "Model not found"),
    errors.LineRetired: (410, "Model line retired"),
    errors.NoActiveModel: (503, "No active model"),
    errors.NotReady: (503, "Not ready"),
    errors.ArtifactCorrupt: (503, "Model files refused"),
    errors.FeatureSetMismatch: (409, "Feature set mismatch"),
    errors.ApprovalNeeded: (409, "Approval needed"),
    errors.IntervalMismatch: (409, "Interval mismatch"),
    errors.Unauthorized: (401, "Key needed"),
    errors.Forbidden: (403, "Forbidden"),
    errors.TooManyFailedKeys: (429, "Too many requests"),
    errors.AdminDisabled: (503, "Admin routes are off"),
    errors.TrainingInProgress: (409, "Training in progress"),
    errors.QueueUnavailable: (503, "Queue not reachable"),
    errors.RunNotFound: (404, "Run not found"),
    errors.PredictionNotFound: (404, "Prediction not found"),
    errors.ExportNotFound: (404, "Export not found"),
    errors.NoUnfinishedRun: (404, "Run not found"),
    errors.HookNotFound: (404, "Hook not found"),
    errors.TooManyHooks: (409, "Too many hooks"),
    errors.TooManyStreams: (503, "Too many streams"),
    errors.RunNotCancellable: (409, "Run can't be cancelled"),
    errors.DatabaseUnavailable: (503, "Audit store not usable"),
    errors.ArtifactsUnavailable: (503, "Artifacts folder not writable"),
}

# What Flask itself refuses. Its own descriptions repeat what the client sent.
FRAMEWORK_PROBLEMS: dict[int, tuple[str, str, str]] = {
    400: ("invalid_request", "Bad request", "the body is not JSON, or the request is malformed"),
    404: ("not_found", "Not found", "there is no such route"),
    405: ("method_not_allowed", "Method not allowed", "the header Allow lists the methods"),
    413: ("payload_too_large", "Payload too large", "a body may hold 1 MiB"),
    415: ("unsupported_media_type", "Unsupported media type", "send application/json"),
    429: ("rate_limited", "Too many requests", "the header Retry-After says when to come back"),
}
_OTHER = ("invalid_request", "Request refused", "the request was refused")

_WITH_RETRY_AFTER = (
    errors.UpstreamUnavailable,
    errors.TooManyFailedKeys,
    errors.TooManyStreams,
)


def init_app(app: Flask) -> None:
    app.register_error_handler(errors.MlengineError, _handle_domain_error)
    app.register_error_handler(HTTPException, _handle_http_error)
    app.register_error_handler(Exception, _handle_unexpected)


def _handle_domain_error(error: errors.MlengineError) -> Response:
    entry = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)
    if entry is None:
        return _handle_unexpected(error)
    status, title = entry
    response = problem(
        status=status, code=error.code, title=title, detail=str(error), extra=_extra_members(error)
    )
    if isinstance(error, _WITH_RETRY_AFTER):
        g.retry_after_seconds = max(1, error.retry_after_seconds)
    if isinstance(error, errors.Unauthorized):
        response.headers["WWW-Authenticate"] = 'ApiKey realm="mlengine"'
    return response


def _extra_members(error: errors.MlengineError) -> dict[str, Any]:
    """The members that one kind of problem adds."""
    if isinstance(error, errors.InvalidRequest):
        return {"errors": {name: list(texts) for name, texts in error.errors.items()}}
    if isinstance(error, errors.TrainingInProgress | errors.RunNotCancellable):
        return {"run_id": error.run_id}
    if isinstance(error, errors.InsufficientBars) and error.first_possible:
        return {"first_possible": error.first_possible}
    return {}


def _handle_http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if status >= 500:
        return _handle_unexpected(error)
    code, title, detail = FRAMEWORK_PROBLEMS.get(status, _OTHER)
    response = problem(status=status, code=code, title=title, detail=detail)
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _handle_unexpected(error: Exception) -> Response:
    log.error("request failed", exc_info=error)
    detail = "the log has the details under this request_id"
    return problem(status=500, code="internal", title="Internal error", detail=detail)
