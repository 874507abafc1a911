"""gunicorn's parser, patient with slow clients and lenient with their targets."""

import re
import socket

from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader

_NOT_ASCII = re.compile(rb"[\x80-\xff]")


class LenientRequest(Request):
    """Takes text in the target that should have been percent-encoded, as most servers do."""

    def parse_request_line(self, line_bytes: bytes) -> None:
        encoded = _NOT_ASCII.sub(lambda match: b"%%%02X" % match[0][0], line_bytes)
        super().parse_request_line(encoded)  # type: ignore[no-untyped-call]


class NonBlockingUnreader(SocketUnreader):
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
        self.unreader = NonBlockingUnreader(source)  # type: ignore[no-untyped-call]
