"""gunicorn's parser over bytes that have come, lenient with their targets."""

import re
from contextlib import suppress
from typing import Any

from gunicorn.http.errors import InvalidHeader, ParseException
from gunicorn.http.message import Request
from gunicorn.http.unreader import Unreader

_NOT_ASCII = re.compile(rb"[\x80-\xff]")


class MissingHost(InvalidHeader):
    """RFC 9112, 3.2: a request in HTTP/1.1 names its host."""


class ReceivedBytes(Unreader):
    """What was received and not parsed yet; the parser never waits for more."""

    def __init__(self, received: bytes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.buf.write(received)

    def chunk(self, _size_hint: int | None = None) -> bytes:
        return b""


class LenientRequest(Request):
    """Takes text in the target that should have been percent-encoded, as most servers do."""

    def parse_request_line(self, line_bytes: bytes) -> None:
        encoded = _NOT_ASCII.sub(lambda match: b"%%%02X" % match[0][0], line_bytes)
        super().parse_request_line(encoded)  # type: ignore[no-untyped-call]

    def set_body_reader(self) -> None:
        is_named = any(name == "HOST" for name, _ in self.headers)
        if not is_named and self.version >= (1, 1):  # type: ignore[operator]
            raise MissingHost("HOST")  # type: ignore[no-untyped-call]
        super().set_body_reader()  # type: ignore[no-untyped-call]

    def discard_body(self) -> bool:
        """Whether it is known where the next request begins: behind a body that is well formed."""
        body: Any = self.body
        with suppress(OSError, ParseException):
            while body.read(65536):
                pass
            return not body.failed
        return False
