"""gunicorn's worker: what its parser refuses is answered and logged like everything else."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from gunicorn.workers import gthread

from mlengine import logs
from mlengine.web.http.request_ids import new_request_id
from mlengine.web.serving.parser import Parser
from mlengine.web.serving.parser_errors import problem_of, raw_response

if TYPE_CHECKING:
    from mlengine.web.http.limits import Headers
    from mlengine.web.serving.fast_path import FastPathPredictor, PendingResponse

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_APP_LOAD_ERROR = 4  # gunicorn's own code for it: the master stops instead of trying for ever
_SECONDS_APART = 2.0
_RECEIVED_BYTES = 8192
_NOTIFY_SECONDS = 0.2
# What a worker gives those with fewer connections for each that it has, at most, and in which time
# an offer is the same one.
_HEAD_START_SECONDS, _LONGEST_SECONDS, _FORGOTTEN_SECONDS = 0.00003, 0.0003, 0.05
# A client that is slower than this, in either direction, doesn't keep its thread.
_SOCKET_PATIENCE = struct.pack("@ll", 10, 0)
# One that says nothing at first goes back to the poller at once; gunicorn would wait for 5 s.
gthread.DEFAULT_WORKER_DATA_TIMEOUT = 0.2


class Worker(gthread.ThreadWorker):
    """A worker of a few threads; the one that polls the connections answers what is in memory."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._fast_path: FastPathPredictor | None = None
        self._pending: dict[gthread.TConn, tuple[bytes, PendingResponse]] = {}
        self._counted_headers: dict[gthread.TConn, Headers] = {}
        self._offered = 0.0
        self._notified = 0.0

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
        # The master imports this file, and must not bring LightGBM into its forks.
        from mlengine.web.serving.fast_path import fast_path_predictor  # noqa: PLC0415

        self._fast_path = fast_path_predictor(self.wsgi, self.cfg)

    def accept(self, listener: socket.socket) -> None:
        """The later the more connections there are here: all workers are offered each new one.

        Until then the poll goes on, and finds it again or taken by another worker.
        """
        now = time.perf_counter()
        if now - self._offered > _FORGOTTEN_SECONDS:
            self._offered = now
        patience = min(self.nr_conns * _HEAD_START_SECONDS, _LONGEST_SECONDS)
        if self.cfg.workers > 1 and now - self._offered < patience:
            return
        self._offered = 0.0
        if self._fast_path is None:
            super().accept(listener)  # type: ignore[no-untyped-call]
            return
        with suppress(BlockingIOError, ConnectionAbortedError):  # another worker has it
            sock, client = listener.accept()
            conn = gthread.TConn(self.cfg, sock, client, listener.getsockname())  # type: ignore[no-untyped-call]
            self._poll(conn)

    def _poll(self, conn: gthread.TConn) -> None:
        """Wait for the first request of a new connection as for a later one, without a thread."""
        self.nr_conns += 1
        conn.set_timeout()  # type: ignore[no-untyped-call]
        self.keepalived_conns.append(conn)
        readable = partial(self.on_client_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, readable)  # type: ignore[union-attr]

    def notify(self) -> None:
        """The master looks every second at most; a call costs as much as a poll."""
        now = time.monotonic()
        if now - self._notified >= _NOTIFY_SECONDS:
            self._notified = now
            super().notify()  # type: ignore[no-untyped-call]

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        self._dispatch_round(timeout)
        if self._fast_path and self._pending:
            if len(self._pending) < self.nr_conns:
                # Whoever is about to ask shares the commit, which costs as much as an answer.
                os.sched_yield()
                self._dispatch_round(0)
            self._respond(self._fast_path)

    def _dispatch_round(self, timeout: float) -> None:
        if self._fast_path:
            self._fast_path.begin_round()
        super().wait_for_and_dispatch_events(timeout)  # type: ignore[no-untyped-call]

    def on_client_socket_readable(self, conn: gthread.TConn, client: socket.socket) -> None:
        """Answer what came once the round is over, or let a thread do it."""
        if conn in self._pending:
            return  # the poller reports it again once this one is answered
        inline = self._fast_path
        if not (inline and isinstance(conn.client, tuple) and self.alive and self._may_answer()):
            self._hand_over(conn, b"")
            return
        raw = b""
        with suppress(OSError):  # the thread will find out, too
            raw = client.recv(_RECEIVED_BYTES)
        pending = _attempt(partial(inline.try_answer, raw, conn.client))
        if pending is None:
            self._hand_over(conn, raw)
        else:
            self._pending[conn] = (raw, pending)

    def _may_answer(self) -> bool:
        """Whether the worker is not to be recycled yet: gunicorn's own way ends it."""
        return bool(self.nr + len(self._pending) + 1 < self.max_requests)

    def _hand_over(self, conn: gthread.TConn, raw: bytes) -> None:
        """Let a thread read `raw`, which was taken from the socket, and all that comes after it."""
        self._prepare(conn)
        conn.parser.unreader.unread(raw)  # type: ignore[union-attr]
        conn.data_ready = conn.data_ready or bool(raw)
        super().on_client_socket_readable(conn, conn.sock)  # type: ignore[no-untyped-call]

    def _respond(self, inline: FastPathPredictor) -> None:
        """Send the answers of a round; what was counted and not answered is not counted again."""
        pending, self._pending = self._pending, {}
        answers = [answer for _, answer in pending.values()]
        responses = _attempt(partial(inline.respond, answers)) or [None] * len(pending)
        for (conn, (raw, answer)), response in zip(pending.items(), responses, strict=True):
            if response is not None:
                self.nr += 1
                self._send(conn, response)
                continue
            if answer.rate_headers:
                self._counted_headers[conn] = answer.rate_headers
            self._hand_over(conn, raw)

    def _send(self, conn: gthread.TConn, response: bytes) -> None:
        """At once where the client takes it; a thread waits for one that doesn't."""
        self.keepalived_conns.remove(conn)
        try:
            sent = conn.sock.send(response)
        except OSError:
            sent = 0
        if sent == len(response):
            conn.set_timeout()  # type: ignore[no-untyped-call]
            self.keepalived_conns.append(conn)
            return
        self.poller.unregister(conn.sock)  # type: ignore[union-attr]
        sending = self.tpool.submit(_send_slowly, conn, response[sent:])  # type: ignore[union-attr]
        sending.add_done_callback(partial(self._sent_slowly, conn))

    def _sent_slowly(self, conn: gthread.TConn, sending: Future[bool]) -> None:
        self.method_queue.defer(self.finish_request, conn, sending)  # type: ignore[no-untyped-call]

    def handle(self, conn: gthread.TConn) -> object:
        self._prepare(conn)
        headers = self._counted_headers.pop(conn, None)
        if headers is None:
            return super().handle(conn)  # type: ignore[no-untyped-call]
        from mlengine.web.http import limits  # noqa: PLC0415 - as in load_wsgi

        token = limits.counted_headers.set(headers)
        try:
            return super().handle(conn)  # type: ignore[no-untyped-call]
        finally:
            limits.counted_headers.reset(token)

    def _prepare(self, conn: gthread.TConn) -> None:
        if conn.parser is None:
            conn.parser = Parser(self.cfg, conn.sock, conn.client)
            with suppress(OSError):  # gone already, as the next read will find
                for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                    conn.sock.setsockopt(socket.SOL_SOCKET, direction, _SOCKET_PATIENCE)

    def handle_error(self, _req: Any, client: socket.socket, _addr: Any, exc: Exception) -> None:
        """Answer what never reached the application, or what it could not answer."""
        code, status, detail = problem_of(exc)
        request_id = new_request_id()
        facts = {"status": status, "code": code, "reason": type(exc).__name__}
        with logs.bound_ids(request=request_id):
            if status == HTTPStatus.INTERNAL_SERVER_ERROR:
                log.error("request failed", extra=facts, exc_info=exc)
            else:
                log.info("request refused", extra=facts)
        with suppress(OSError):
            client.sendall(raw_response(status, code, detail, request_id))


def _attempt(call: Callable[[], Result]) -> Result | None:
    """None for an error: whoever is not answered inline goes to a thread, which reports it."""
    try:
        return call()
    except Exception:
        log.debug("not answered at the counter", exc_info=True)
        return None


def _send_slowly(conn: gthread.TConn, rest: bytes) -> bool:
    conn.sock.setblocking(True)
    conn.sock.sendall(rest)
    return True
