"""What a client follows, and the form in which it gets it (server-sent events, chunked)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mlengine.core.monitoring.messages import TEST_TYPE, Message, is_asked_for
from mlengine.web.serving.response_buffer import ResponseBuffer

# Where gunicorn puts what it writes an answer to.
_SOCKET = "gunicorn.socket"

MEDIA_TYPE = "text/event-stream"
# A client that was cut off comes back after so many milliseconds.
OPENING = b"retry: 2000\n\n"
HEARTBEAT = b":\n\n"


@dataclass(slots=True)
class Subscription:
    """Messages of `types`, or all, behind the one numbered `seq`, which the client has.

    `sent_at` is when something was sent last, of the monotonic clock.
    """

    types: Collection[str]
    seq: int
    sent_at: float = 0.0

    def take(self, messages: Iterable[Message]) -> bytes:
        """The events among `messages`, oldest first, that it has not got; it has them then."""
        new = [each for each in messages if each.seq > self.seq]
        if new:
            self.seq = new[-1].seq
        return b"".join(event_of(each) for each in new if self._wants(each))

    def _wants(self, message: Message) -> bool:
        return message.type != TEST_TYPE and is_asked_for(message.type, self.types)


def event_of(message: Message) -> bytes:
    """A message as an event, whose id is its number."""
    return f"id: {message.seq}\nevent: {message.type}\ndata: {message.body}\n\n".encode()


def chunk_of(data: bytes) -> bytes:
    """A chunk of an answer in HTTP/1.1."""
    return b"%X\r\n%s\r\n" % (len(data), data)


def attach(environ: Mapping[str, object], subscription: Subscription) -> bool:
    """Let the server go on with the answer to this request; False where it can't.

    The answer has to be one of unknown length.
    """
    response = environ.get(_SOCKET)
    if not isinstance(response, ResponseBuffer) or environ["SERVER_PROTOCOL"] != "HTTP/1.1":
        return False
    response.subscription = subscription
    return True
