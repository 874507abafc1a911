"""A worker that reads requests and sends answers without a thread, in the clients' own time.

A thread gets a request that is whole, and writes its answer into memory. Each client has one
deadline for all of its request, and one for taking its answer.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.workers import gthread

from mlengine.web.serving.connections import Connection, ConnectionTable
from mlengine.web.serving.request_reader import RequestReader
from mlengine.web.serving.response_buffer import ResponseBuffer
from mlengine.web.serving.sockets import forget_unread_bytes, send_at_once, unread_bytes

log = logging.getLogger(__name__)

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_RECEIVED_BYTES = 8192
_RECEIVED_BODY_BYTES = 65536
# What clients may keep in a worker's memory together: the longest waiting is dropped for more.
_BUFFERED_BYTES = 64 * 1024 * 1024
# A slow client gets a second more for each so many bytes of its answer.
_SLOWEST_BYTES_PER_SECOND = 65536
# How long a client is listened to after its last answer, lest the end overtakes it.
_LINGER_SECONDS = 2.0


class ClientConnections(gthread.ThreadWorker):
    """The connections of gunicorn's worker; what to do with a request is left open."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.client_timeout_seconds = 10.0
        self.connections = ConnectionTable()

    def hand_over(self, conn: Connection, request: Any) -> None:
        """Have `request` answered."""
        raise NotImplementedError

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection; where there are too many, the longest idle one is dropped."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            self._accept_later(error)
            return
        sock.setblocking(False)
        reader = RequestReader(self.cfg, client)
        conn = Connection(sock, client, listener.getsockname(), reader)
        if len(self.connections) + 1 >= self.worker_connections:
            self._drop_one()
        self.nr_conns += 1
        self.connections.add(conn, time.monotonic() + self.cfg.keepalive)
        self.poll(conn, selectors.EVENT_READ, self.on_client_socket_readable)

    def _accept_later(self, error: OSError) -> None:
        """Of the workers that are offered a connection one gets it; and files may run out."""
        if error.errno in (errno.EMFILE, errno.ENFILE):
            self.worker_connections = max(self.nr_conns, 1)
            self._drop_one()
        elif error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED):
            raise error

    def _drop_one(self) -> None:
        victim = self.connections.longest_idle() or self.connections.longest_waiting()
        if victim is not None:
            self._abort(victim)

    def _abort(self, conn: Connection) -> None:
        """Drop it with what it has not read yet."""
        forget_unread_bytes(conn.sock)
        self.drop(conn)

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Read what came, and go on once a request is whole."""
        if conn in self.connections:
            data = self._received(conn, client, _RECEIVED_BODY_BYTES)
            if data is not None:
                self.receive(conn, data)

    def _received(self, conn: Connection, client: socket.socket, size: int) -> bytes | None:
        """What the client sent, empty for its end; None where there is nothing to go on with."""
        try:
            return client.recv(size)
        except BlockingIOError:
            return None
        except OSError:
            self.drop(conn)
            return None

    def receive(self, conn: Connection, data: bytes) -> None:
        """Go on with `data`, empty where the client sends no more."""
        try:
            request = conn.reader.receive(data, is_last=not data)
        except Exception as error:
            self._refuse(conn, error)
            return
        if request is not None:
            self.connections.set_busy(conn)
            self.hand_over(conn, request)
        elif not data:
            self.drop(conn)
        else:
            self._wait_for_more(conn)

    def _wait_for_more(self, conn: Connection) -> None:
        if not self.connections.is_waiting(conn):
            self.connections.set_waiting(conn, time.monotonic() + self.client_timeout_seconds)
        if conn.reader.awaits_continue():
            with suppress(OSError):
                conn.sock.send(_CONTINUE)
        self.hold_bytes(conn, conn.reader.size)

    def hold_bytes(self, conn: Connection, size: int) -> None:
        """Note what is kept in memory for it; too much of all clients costs the longest waiting."""
        self.connections.set_buffered(conn, size)
        while self.connections.buffered > _BUFFERED_BYTES and conn in self.connections:
            self._abort(self.connections.longest_waiting() or conn)

    def _refuse(self, conn: Connection, error: Exception) -> None:
        response = ResponseBuffer()
        self.handle_error(None, response, conn.client, error)  # type: ignore[no-untyped-call]
        conn.closes = True
        try:
            self.send_rest(conn, response.send_to(conn.sock))
        except OSError:
            self.drop(conn)

    def send_rest(self, conn: Connection, rest: memoryview) -> None:
        """Send what the client did not take at once of its answer when it does."""
        conn.unsent = rest
        if not rest:
            self._end_answer(conn)
            return
        now = time.monotonic()
        longest = self.client_timeout_seconds + len(rest) / _SLOWEST_BYTES_PER_SECOND
        conn.answer_deadline = now + longest
        self.connections.set_waiting(conn, now + self.client_timeout_seconds)
        self.poll(conn, selectors.EVENT_WRITE, self._on_writable)
        self.hold_bytes(conn, len(rest))

    def _on_writable(self, conn: Connection, client: socket.socket) -> None:
        if conn not in self.connections:
            return
        try:
            conn.unsent = send_at_once(client, conn.unsent)
        except OSError:
            self.drop(conn)
            return
        self.connections.set_buffered(conn, len(conn.unsent))
        if conn.unsent:
            patience = time.monotonic() + self.client_timeout_seconds
            self.connections.set_waiting(conn, min(patience, conn.answer_deadline))
        else:
            self._end_answer(conn)

    def _end_answer(self, conn: Connection) -> None:
        """Listen for the next request, or only until the client closes, too."""
        now = time.monotonic()
        self.connections.set_buffered(conn, 0)
        if not conn.closes:
            self.connections.set_idle(conn, now + self.cfg.keepalive)
            self.poll(conn, selectors.EVENT_READ, self.on_client_socket_readable)
            if conn.read_ahead:
                read_ahead, conn.read_ahead = conn.read_ahead, b""
                self.receive(conn, read_ahead)
            return
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop(conn)
            return
        patience = self.client_timeout_seconds if conn.reader.is_cut_off else _LINGER_SECONDS
        self.connections.set_waiting(conn, now + patience)
        self.poll(conn, selectors.EVENT_READ, self._discard)

    def _discard(self, conn: Connection, client: socket.socket) -> None:
        """What a client sends that was answered already, until it closes."""
        if conn in self.connections and not self._received(conn, client, _RECEIVED_BODY_BYTES):
            self.drop(conn)

    def poll(
        self,
        conn: Connection,
        event: int,
        callback: Callable[[Connection, socket.socket], None],
    ) -> None:
        change = self.poller.modify if conn.is_polled else self.poller.register  # type: ignore[union-attr]
        change(conn.sock, event, partial(callback, conn))
        conn.is_polled = True

    def stop_polling(self, conn: Connection) -> None:
        """Leave what the client sends where it is, until its request is answered."""
        if conn.is_polled:
            self.poller.unregister(conn.sock)  # type: ignore[union-attr]
            conn.is_polled = False

    def drop(self, conn: Connection) -> None:
        """Close it, whatever it waits for."""
        if conn in self.connections:
            self.stop_polling(conn)
            self.connections.remove(conn)
            self.nr_conns -= 1
            conn.sock.close()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        soonest = self.connections.next_deadline - time.monotonic()
        super().wait_for_and_dispatch_events(max(0.0, min(timeout, soonest)))  # type: ignore[no-untyped-call]

    def murder_keepalived(self, force: bool = False) -> None:
        """Drop whoever took too long; called after each poll."""
        now = time.monotonic()
        for conn in self.connections.all_kept() if force else ():
            self.drop(conn)
        if now < self.connections.next_deadline:
            return
        for conn in self.connections.over(now):
            before, conn.unread_bytes = conn.unread_bytes, unread_bytes(conn.sock)
            if not conn.unread_bytes:
                self.drop(conn)
            elif not conn.unsent and conn.unread_bytes != before:
                self.connections.set_waiting(conn, now + self.client_timeout_seconds)
            else:
                log.warning("client dropped", extra=conn.facts("it does not read its answer"))
                self._abort(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """A stopping worker waits a little for requests that are on their way."""
        self._close_listeners()
        self.connections.limit_deadlines(deadline)

    def _close_listeners(self) -> None:
        """Take whoever is connected already, then nobody: the kernel resets those left over."""
        for listener in self.sockets:
            connections = -1
            while self.nr_conns > connections:
                connections = self.nr_conns
                ClientConnections.accept(self, listener)
            listener.close()
