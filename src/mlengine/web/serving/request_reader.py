"""The bytes of one connection until they are a whole request.

gunicorn's parser alone says what a request is, where it ends, and what is refused. Here it is only
decided when to ask it, so that it never waits: what is looked for may come too soon, and the
parser wants more, or say that more is to come until the client's time is up.
"""

import re
from typing import Any

from gunicorn.config import Config
from gunicorn.http.body import LengthReader
from gunicorn.http.errors import LimitRequestHeaders, NoMoreData

from mlengine.web.http.hooks import MAX_BODY_BYTES
from mlengine.web.serving.parser import LenientRequest, ReceivedBytes

# The framing of a body in chunks may be larger than the body.
_MAX_CHUNKED_BYTES = 8 * MAX_BODY_BYTES
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?", re.S)


class RequestReader:
    """Collects what a client sends; `client` is its address as gunicorn has it."""

    __slots__ = (
        "_body_at",
        "_cfg",
        "_chunks",
        "_client",
        "_count",
        "_head",
        "_received",
        "is_cut_off",
    )

    def __init__(self, cfg: Config, client: Any) -> None:
        self._cfg, self._client = cfg, client
        self._received = bytearray()
        self._head: LenientRequest | None = None
        self._body_at = 0
        self._chunks = ChunkScanner(0, 0)
        self._count = 1
        self.is_cut_off = False

    @property
    def size(self) -> int:
        """How many bytes have come of a request that is not whole."""
        return len(self._received)

    def receive(self, data: bytes, *, is_last: bool = False) -> LenientRequest | None:
        """The request that is whole with `data`, else None; it holds what was read ahead, too.

        A body that is too large or, with the client's last byte, too short closes the connection.
        Raises what the parser raises.
        """
        self._received += data
        if self._head is None:
            self._read_head(data)
        head = self._head
        if head is None:
            return None
        if not self._body_is_whole(head):
            if not is_last:
                return None
            head.force_close()  # type: ignore[no-untyped-call]
        head.unreader.unread(bytes(self._received[self._body_at :]))
        self._received, self._head = bytearray(), None
        self._count += 1
        return head

    def awaits_continue(self) -> bool:
        """Whether the client waits to be told to send its body; once for each request."""
        head = self._head
        if head is None or not head._expected_100_continue:
            return False
        head._expected_100_continue = False
        return True

    def _read_head(self, data: bytes) -> None:
        """Ask the parser after each line, and where one is longer than any may be."""
        received = self._received
        line_length = len(received) - 1 - received.rfind(b"\n")
        longest = max(self._cfg.limit_request_line, self._cfg.limit_request_field_size) + 2
        if b"\n" not in data and line_length <= longest:
            return
        unreader = ReceivedBytes(bytes(received))
        try:
            head = LenientRequest(self._cfg, unreader, self._client, self._count)  # type: ignore[no-untyped-call]
        except NoMoreData:
            if line_length > longest or received.count(b"\n") > self._cfg.limit_request_fields + 2:
                raise LimitRequestHeaders("limit request headers") from None  # type: ignore[no-untyped-call]
            return
        self._head = head
        self._body_at = len(received) - len(unreader.take_buffered())  # type: ignore[no-untyped-call]
        self._chunks = ChunkScanner(self._body_at, MAX_BODY_BYTES)

    def _body_is_whole(self, head: LenientRequest) -> bool:
        """True also for one that is refused whatever else comes of it."""
        received = len(self._received) - self._body_at
        reader: Any = head.body.reader  # type: ignore[union-attr]
        if isinstance(reader, LengthReader):
            length: int = reader.length
            is_too_large = length > MAX_BODY_BYTES
            is_whole = received >= length
        else:
            is_whole = self._chunks.is_over(self._received)
            is_too_large = self._chunks.is_too_large or received > _MAX_CHUNKED_BYTES
        if is_too_large and not is_whole:
            self.is_cut_off = True
            head.force_close()  # type: ignore[no-untyped-call]
            head._expected_100_continue = False
        return is_whole or is_too_large


class ChunkScanner:
    """Looks for the end of a body in chunks, from where it ended the last time."""

    __slots__ = ("_at", "_in_trailers", "_left")

    def __init__(self, start: int, max_bytes: int) -> None:
        self._at = start
        self._left = max_bytes
        self._in_trailers = False

    @property
    def is_too_large(self) -> bool:
        return self._left < 0

    def is_over(self, received: bytearray) -> bool:
        """Whether the parser can tell what it is: it ends there, or is malformed."""
        while not self._in_trailers:
            if len(received) < self._at or self.is_too_large:
                return False
            end = received.find(b"\r\n", self._at)
            if end < 0:
                return len(received) - self._at > 8192
            size = _CHUNK_SIZE.fullmatch(received, self._at, end)
            if size is None:
                return True
            if not self._next_chunk(received, end + 2, int(size[1], 16)):
                return len(received) >= self._at
        return self._trailers_are_over(received)

    def _next_chunk(self, received: bytearray, start: int, size: int) -> bool:
        """Whether it ends as chunks do, as far as it has come."""
        if size == 0:
            self._at, self._in_trailers = start, True
            return True
        self._left -= size
        self._at = start + size + 2
        return len(received) < self._at or received[self._at - 2 : self._at] == b"\r\n"

    def _trailers_are_over(self, received: bytearray) -> bool:
        trailers = received[self._at :]
        is_malformed = trailers.count(b"\n") != trailers.count(b"\r\n")
        return trailers[:2] == b"\r\n" or b"\r\n\r\n" in trailers or is_malformed
