"""gunicorn's worker: what its parser refuses is answered and logged like everything else."""

from __future__ import annotations

import logging
import re
import socket
import struct
import sys
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import orjson
from gunicorn.http import errors as refusals
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers import gthread

from mlengine import logs

log = logging.getLogger(__name__)

_APP_LOAD_ERROR = 4  # gunicorn's own code for it: the master stops instead of trying for ever
_SECONDS_APART = 2.0
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
# A client that is slower than this, in either direction, doesn't keep its thread.
_SOCKET_PATIENCE = struct.pack("@ll", 10, 0)
# One that says nothing at first goes back to the poller at once; gunicorn would wait for 5 s.
gthread.DEFAULT_WORKER_DATA_TIMEOUT = 0.2

_STATUS = {
    refusals.LimitRequestLine: (414, "the request line may hold 8190 bytes"),
    refusals.LimitRequestHeaders: (431, "a header may hold 8190 bytes, a request 100 headers"),
    refusals.ExpectationFailed: (417, "the only expectation met is 100-continue"),
    refusals.UnsupportedTransferCoding: (501, "the only transfer coding known is chunked"),
    refusals.ParseException: (400, "the request line or a header is malformed"),
}
_BY_THE_APP = (refusals.InvalidResponseHeader, refusals.InvalidResponseHeaderName)


class LenientRequest(Request):
    """Takes text in the target that should have been percent-encoded, as most servers do."""

    def parse_request_line(self, line_bytes: bytes) -> None:
        encoded = _NOT_ASCII.sub(lambda found: b"%%%02X" % found[0][0], line_bytes)
        super().parse_request_line(encoded)  # type: ignore[no-untyped-call]


class PatientUnreader(SocketUnreader):
    def chunk(self, size_hint: int | None = None) -> bytes:
        """What the client has sent; nothing when it took too long, as if it had gone."""
        try:
            return bytes(super().chunk(size_hint))  # type: ignore[no-untyped-call]
        except BlockingIOError:
            return b""


class Parser(RequestParser):
    mesg_class = LenientRequest

    def __init__(self, cfg: object, source: socket.socket, address: object) -> None:
        super().__init__(cfg, source, address)  # type: ignore[no-untyped-call]
        self.unreader = PatientUnreader(source)  # type: ignore[no-untyped-call]


class Worker(gthread.ThreadWorker):
    """A worker of a few threads."""

    def load_wsgi(self) -> None:
        """An application that can't be made ends the master too, and says so once."""
        try:
            super().load_wsgi()  # type: ignore[no-untyped-call]
        except SystemExit as ending:
            if self.age == 1:
                sys.stderr.write(f"{ending.code}\n")
            # A second worker that ends so would break the master's own ending; it comes later.
            time.sleep((self.age - 1) % self.cfg.workers * _SECONDS_APART)
            raise SystemExit(_APP_LOAD_ERROR if self.alive else 0) from ending

    def handle(self, conn: gthread.TConn) -> object:
        if conn.parser is None:
            conn.parser = Parser(self.cfg, conn.sock, conn.client)
            with suppress(OSError):  # gone already, as the next read will find
                for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                    conn.sock.setsockopt(socket.SOL_SOCKET, direction, _SOCKET_PATIENCE)
        return super().handle(conn)  # type: ignore[no-untyped-call]

    def handle_error(self, _req: Any, client: socket.socket, _addr: Any, exc: Exception) -> None:
        """Answer what never reached the application, or what it could not answer."""
        code, status, detail = _problem(exc)
        request_id = uuid4().hex
        facts = {"status": status, "code": code, "reason": type(exc).__name__}
        with logs.bound(request=request_id):
            if status == HTTPStatus.INTERNAL_SERVER_ERROR:
                log.error("request failed", extra=facts, exc_info=exc)
            else:
                log.info("request refused", extra=facts)
        with suppress(OSError):
            client.sendall(_answer(status, code, detail, request_id))


def _problem(error: BaseException) -> tuple[str, int, str]:
    """Its code, status and detail."""
    if isinstance(error, refusals.ParseException) and not isinstance(error, _BY_THE_APP):
        status, detail = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        return "invalid_request", status, detail
    return "internal", 500, "the log has the details under this request_id"


def _answer(status: int, code: str, detail: str, request_id: str) -> bytes:
    phrase = HTTPStatus(status).phrase
    members = {
        "type": f"urn:mlengine:problem:{code}",
        "title": phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    body = orjson.dumps(members)
    head = [
        f"HTTP/1.1 {status} {phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"X-Request-ID: {request_id}",
        "Connection: close",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
