"""What happens around every request: its id, its time, its size, its one log line."""

import logging
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from time import perf_counter

from flask import Blueprint, Flask, Response, current_app, g, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from mlengine import logs
from mlengine.web.http import request_ids, traces
from mlengine.web.http.contract import contract_of
from mlengine.web.http.requests import platform
from mlengine.web.http.telemetry import request_metrics

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 1024 * 1024
ALWAYS = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_LOGGED_PATH_LENGTH = 128
_PROBES = "mlengine.hooks.probes"
_DRAINED_BYTES = 8 * MAX_BODY_BYTES


def init_app(app: Flask, *, probes: Blueprint) -> None:
    """`probes` are asked all day: their lines are of the level DEBUG."""
    app.extensions[_PROBES] = probes.import_name
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_forget)


def _begin() -> None:
    g.started = perf_counter()
    g.received_at = platform().control.clock()
    sent_id = request.headers.get(request_ids.HEADER, "")
    g.request_id = sent_id if _REQUEST_ID.fullmatch(sent_id) else request_ids.new_request_id()
    _forget()
    logs.request_id.set(g.request_id)
    traces.begin(g.request_id)


def refuse_large_body() -> None:
    """Also on routes that read no body; part of it is taken in so that the answer arrives.

    Must come after the limiter, so that those who send them use up their budget too.
    """
    length = request.content_length
    if length is None:
        if _chunked_body_goes_on():
            _drain(_DRAINED_BYTES)
            raise RequestEntityTooLarge
    elif length > MAX_BODY_BYTES:
        _drain(length if length <= _DRAINED_BYTES else 0)
        raise RequestEntityTooLarge


def _chunked_body_goes_on() -> bool:
    """Whether a body of unsaid length passes the limit, at which the framework cuts it off."""
    terminated = request.environ.get("wsgi.input_terminated", False)
    if not terminated or not request.headers.get("Transfer-Encoding"):
        return False
    try:
        request.get_data()
        return bool(request.environ["wsgi.input"].read(1))
    except (OSError, ParseException):  # the server's, for chunks that are malformed
        raise BadRequest from None


def _drain(most: int) -> None:
    stream = request.environ["wsgi.input"]
    with suppress(OSError, ParseException):  # the server keeps the rest to itself
        while most > 0 and (chunk := stream.read(min(most, 65536))):
            most -= len(chunk)


def _end(response: Response) -> Response:
    if request.method == "OPTIONS" and response.status_code == HTTPStatus.OK:
        response.status_code = HTTPStatus.NO_CONTENT
        del response.headers["Content-Type"]
    response.headers[request_ids.HEADER] = g.request_id
    for name, value in ALWAYS:
        response.headers.setdefault(name, value)
    _say_when_to_retry(response)
    view = current_app.view_functions.get(request.endpoint or "")
    contract = contract_of(view)
    if contract and contract.deprecated:
        response.headers.extend(contract.deprecated.headers())
    traces.end(response.status_code)
    request_metrics.count_request(platform().counters, response.status_code)
    rule = request.url_rule
    path = rule.rule if rule else request.path[:_LOGGED_PATH_LENGTH]
    facts = request_facts(
        request.method,
        path,
        response.status_code,
        g.started,
        address=request.remote_addr,
        code=g.get("problem_code"),
    )
    is_probe = view is not None and view.__module__ == current_app.extensions[_PROBES]
    log_requests([facts], logging.DEBUG if is_probe else logging.INFO)
    return response


def _say_when_to_retry(response: Response) -> None:
    """Only where there is something to wait for: the limiter puts the header on every answer."""
    response.headers.pop("Retry-After", None)
    if "retry_after_seconds" in g:
        response.headers["Retry-After"] = str(g.retry_after_seconds)


def log_requests(lines: Iterable[Mapping[str, object]], level: int = logging.INFO) -> None:
    """The one line of each: its `request_facts`, after the ids that don't ride along."""
    logs.log_many(log, "request", lines, level)


def request_facts(
    method: str,
    path: str,
    status: int,
    started: float,
    *,
    address: str | None,
    code: str | None = None,
) -> dict[str, object]:
    """What the line of a request says that began at `started`, by `perf_counter`.

    `address` is the one that the limiter counts.
    """
    return {
        "method": method,
        "path": path,
        "status": status,
        "ms": round((perf_counter() - started) * 1000, 3),
        "address": address,
        "code": code,
    }


def _forget(_: BaseException | None = None) -> None:
    """A thread serves many requests; nothing of one may ride on the lines of the next."""
    logs.request_id.set(None)
    traces.forget()
    logs.job_id.set(None)
    logs.model_version.set(None)
