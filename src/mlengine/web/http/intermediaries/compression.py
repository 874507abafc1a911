"""Answers as gzip for clients that take it, where that pays; and 304 for what they have already.

A question about one symbol is answered in less time than it takes to compress the answer.
"""

import gzip

from flask import Flask, Response, request

SMALLEST_BYTES = 1024
# The highest levels take four times as long for a tenth less.
_LEVEL = 1
_NEVER = "/predict"
_KINDS = frozenset(("application/json", "application/problem+json", "text/html", "text/csv"))


def init_app(app: Flask) -> None:
    """Must come after what writes the headers and the log line of an answer."""
    app.after_request(_finish)


def _finish(response: Response) -> Response:
    """`Vary` stands on all that might be compressed, whoever asks; each form has its own ETag."""
    compressible = _pays(response)
    is_gzip = compressible and takes_gzip()
    etag, is_weak = response.get_etag()
    if compressible or (etag and response.mimetype in _KINDS):
        response.vary.add("Accept-Encoding")
    if etag:
        if is_gzip:
            response.set_etag(f"{etag}-gzip", weak=bool(is_weak))
        response.make_conditional(request)
    if is_gzip and response.status_code not in (304, 412):
        response.set_data(gzip.compress(response.get_data(), _LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    return response


def _pays(response: Response) -> bool:
    rule = request.url_rule
    return (
        response.mimetype in _KINDS
        and response.is_sequence
        and (response.calculate_content_length() or 0) >= SMALLEST_BYTES
        and "Content-Encoding" not in response.headers
        and not (rule and rule.rule.endswith(_NEVER))
    )


def takes_gzip() -> bool:
    """Whether the client takes gzip, and likes it no less than the answer as it is."""
    accepted = request.accept_encodings
    stated = {name.lower(): quality for name, quality in accepted}
    gzip_quality = stated.get("gzip", stated.get("*", 0))
    return gzip_quality > 0 and gzip_quality >= stated.get("identity", 0)
