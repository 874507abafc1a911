"""gunicorn's worker with streams of events: they are polled like other connections."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from mlengine.core.monitoring.messages import Message
from mlengine.web.serving.connections import Connection
from mlengine.web.serving.response_buffer import LAST_CHUNK
from mlengine.web.serving.sockets import send_at_once
from mlengine.web.serving.streams.places import StreamPlaces, places_of
from mlengine.web.serving.streams.subscription import (
    HEARTBEAT,
    Subscription,
    chunk_of,
)
from mlengine.web.serving.worker import Worker

if TYPE_CHECKING:
    from mlengine.web.serving.streams.feed import MessageFeed

_SECONDS_BETWEEN_HEARTBEATS = 15.0
# A client that has gone without a word is noticed by what it does not acknowledge.
_UNACKNOWLEDGED_MILLISECONDS = 60_000
_READ_BYTES = 4096


class StreamingWorker(Worker):
    """A stream is a connection whose answer goes on; it has no thread, and no request follows.

    What a client does not take at once is kept, and it gets nothing more until it has taken it:
    then it goes on from the database. One that takes nothing for as long as clients may is dropped.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._streams: dict[Connection, Subscription] = {}
        self._places: StreamPlaces | None = None
        self._feed: MessageFeed | None = None

    def load_wsgi(self) -> None:
        """As any worker's; the application says where messages are read."""
        super().load_wsgi()
        from mlengine.web.serving.streams.feed import MessageFeed  # noqa: PLC0415 - as in Worker

        self._places = places_of(self.wsgi)
        if self._places is not None:
            deliver = partial(self.method_queue.defer, self._deliver)
            self._feed = MessageFeed(self._places.outbox, deliver)

    def _end_request(self, answering: Future[Any]) -> None:
        conn, _, rest = answering.result()
        if conn.subscription is None or rest is None:
            super()._end_request(answering)
        elif not (self.alive and self._places and self._places.take()):
            self._finish(conn, rest)
        else:
            self._begin_stream(conn, conn.subscription, rest)

    def _begin_stream(self, conn: Connection, subscription: Subscription, rest: memoryview) -> None:
        with suppress(OSError):  # not of TCP
            conn.sock.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MILLISECONDS
            )
        subscription.sent_at = time.monotonic()
        self._streams[conn] = subscription
        self.connections.streams = len(self._streams)
        self._keep(conn, rest)
        self._follow()

    def _deliver(self, cursor: int, messages: Sequence[Message]) -> None:
        """Send each stream what is new to it; `messages` are all behind the one of `cursor`."""
        now = time.monotonic()
        for conn, subscription in [*self._streams.items()]:
            if conn.unsent:
                continue
            # Who came meanwhile, with a lower number, waits for the next look.
            events = subscription.take(messages) if subscription.seq >= cursor else b""
            if not events and now - subscription.sent_at >= _SECONDS_BETWEEN_HEARTBEATS:
                events = HEARTBEAT
            if events:
                subscription.sent_at = now
                self._send_on(conn, memoryview(chunk_of(events)))
        self._follow()
        if self._feed is not None:
            self._feed.delivered()

    def _send_on(self, conn: Connection, data: memoryview) -> None:
        try:
            self._keep(conn, send_at_once(conn.sock, data))
        except OSError:
            self.drop(conn)

    def _keep(self, conn: Connection, rest: memoryview) -> None:
        """Wait until the client takes the rest, or only until it goes."""
        conn.unsent = rest
        event = selectors.EVENT_READ | (selectors.EVENT_WRITE if rest else 0)
        if rest:
            deadline = time.monotonic() + self.client_timeout_seconds
            self.connections.set_waiting(conn, deadline)
        else:
            self.connections.set_busy(conn)
        self.poll(conn, event, self._on_stream_ready)
        self.hold_bytes(conn, len(rest))

    def _on_stream_ready(self, conn: Connection, client: socket.socket) -> None:
        """It takes more, or sent something, which nobody waits for, or has gone."""
        if conn not in self.connections:
            return
        before = len(conn.unsent)
        if before:
            self._send_on(conn, conn.unsent)
        if conn in self.connections and self._received(conn, client, _READ_BYTES) == b"":
            self.drop(conn)
        if before and not conn.unsent:
            self._follow()

    def _follow(self) -> None:
        """Say behind which message the farthest of those waits that can take more."""
        if self._feed is not None:
            ready = [each.seq for conn, each in self._streams.items() if not conn.unsent]
            self._feed.follow(min(ready, default=None), wanted=bool(self._streams))

    def drop(self, conn: Connection) -> None:
        """Close it, a stream or not."""
        if conn in self._streams:
            self._end_stream(conn)
        super().drop(conn)

    def _end_stream(self, conn: Connection) -> None:
        del self._streams[conn]
        self.connections.streams = len(self._streams)
        if self._places is not None:
            self._places.leave()
        self._follow()

    def _finish(self, conn: Connection, rest: memoryview) -> None:
        """Send the end of the answer behind the rest of it; the client may come back."""
        conn.closes = True
        self.send_rest(conn, memoryview(bytes(rest) + LAST_CHUNK))

    def _cap_keepalive(self, deadline: float) -> None:
        """End the streams of a stopping worker: their clients come back, to another one."""
        for conn in [*self._streams]:
            if conn.unsent:
                self.drop(conn)
                continue
            self._end_stream(conn)
            self._finish(conn, memoryview(b""))
        super()._cap_keepalive(deadline)
