"""The id and the trace that a plain request brings, taken out of its headers."""

import re

from mlengine.core.trace_context import parse_traceparent
from mlengine.web.http import request_ids

_REQUEST_ID = re.compile(
    rb"(?<=\n)" + request_ids.HEADER.encode() + rb": ?([A-Za-z0-9._-]{1,128})\r\n", re.I
)
# As nearly all write it; another spelling goes through the framework.
TRACE_NAME = b"raceparent:"
_TRACE = re.compile(rb"(?<=\n)[Tt]raceparent: ?([0-9a-f-]{55})\r\n")


def without_request_id(headers: bytes) -> tuple[bytes, str | None]:
    """The same for each id, so that they are read once; and the first sane id."""
    match = _REQUEST_ID.search(headers)
    if match is None:
        return headers, None
    return headers[: match.start(1)] + b"x" + headers[match.end(1) :], match[1].decode()


def without_trace(headers: bytes) -> tuple[bytes, str | None]:
    """The same for each trace; and the id of a valid one."""
    match = _TRACE.search(headers)
    trace = parse_traceparent(match[1].decode()) if match else None
    if match is None or trace is None:
        return headers, None
    return headers[: match.start(1)] + b"x" + headers[match.end(1) :], trace.trace_id
