"""What gunicorn's parser refuses, as problems like all others: RFC 9457."""

from http import HTTPStatus

from gunicorn.http import errors as refusals

from mlengine.web.http import hooks, request_ids
from mlengine.web.http.responses import PROBLEM_TYPE, encode, problem_members
from mlengine.web.serving.parser import MissingHost
from mlengine.web.serving.raw_http import encode_response

_STATUS = {
    refusals.LimitRequestLine: (414, "the request line may hold 8190 bytes"),
    refusals.LimitRequestHeaders: (431, "a header may hold 8190 bytes, a request 100 headers"),
    refusals.ExpectationFailed: (417, "the only expectation met is 100-continue"),
    refusals.UnsupportedTransferCoding: (501, "the only transfer coding known is chunked"),
    MissingHost: (400, "a request in HTTP/1.1 needs the header Host"),
    refusals.ParseException: (400, "the request line or a header is malformed"),
}
_BY_THE_APP = (refusals.InvalidResponseHeader, refusals.InvalidResponseHeaderName)


def problem_of(error: BaseException) -> tuple[str, int, str]:
    """The code, the status and the detail of what ended a request."""
    if isinstance(error, refusals.ParseException) and not isinstance(error, _BY_THE_APP):
        status, detail = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        return "invalid_request", status, detail
    return "internal", 500, "the log has the details under this request_id"


def raw_response(status: int, code: str, detail: str, request_id: str) -> bytes:
    """The whole response, which closes its connection."""
    title = HTTPStatus(status).phrase
    body = encode(problem_members(status, code, title, detail, request_id))
    headers = [
        ("Content-Type", PROBLEM_TYPE),
        ("Content-Length", str(len(body))),
        *hooks.ALWAYS,
        (request_ids.HEADER, request_id),
        ("Connection", "close"),
    ]
    return encode_response(status, headers, body)
