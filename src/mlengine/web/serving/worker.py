"""gunicorn's worker: what its parser refuses is answered and logged like everything else."""

from __future__ import annotations

import logging
import os
import re
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

from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers import gthread

from mlengine import logs
from mlengine.web.http.request_ids import new_request_id
from mlengine.web.serving.parser_errors import answer_of, problem_of

if TYPE_CHECKING:
    from mlengine.web.serving.inline import Counter, Ready

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_APP_LOAD_ERROR = 4  # gunicorn's own code for it: the master stops instead of trying for ever
_SECONDS_APART = 2.0
_RECEIVED_BYTES = 8192
_NOTIFY_SECONDS = 0.2
# What a worker gives those with fewer connections for each that it has, at most, and in which time
# an offer is the same one.
_HEAD_START_SECONDS, _LONGEST_SECONDS, _FORGOTTEN_SECONDS = 0.00003, 0.0003, 0.05
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
# A client that is slower than this, in either direction, doesn't keep its thread.
_SOCKET_PATIENCE = struct.pack("@ll", 10, 0)
# One that says nothing at first goes back to the poller at once; gunicorn would wait for 5 s.
gthread.DEFAULT_WORKER_DATA_TIMEOUT = 0.2


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
    """A worker of a few threads, and a counter in the one that polls the connections."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._counter: Counter | None = None
        self._waiting: dict[gthread.TConn, tuple[bytes, Ready]] = {}
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
        from mlengine.web.serving.inline import counter_of  # noqa: PLC0415

        self._counter = counter_of(self.wsgi, self.cfg)

    def accept(self, listener: socket.socket) -> None:
        """The later the more connections there are here: all workers are offered each new one.

        Until then the poll goes on, and finds it again or taken by another worker.
        """
        if self.cfg.workers == 1:
            super().accept(listener)  # type: ignore[no-untyped-call]
            return
        now = time.perf_counter()
        if now - self._offered > _FORGOTTEN_SECONDS:
            self._offered = now
        if now - self._offered >= min(self.nr_conns * _HEAD_START_SECONDS, _LONGEST_SECONDS):
            self._offered = 0.0
            super().accept(listener)  # type: ignore[no-untyped-call]

    def notify(self) -> None:
        """The master looks every second at most; a call costs as much as a poll."""
        now = time.monotonic()
        if now - self._notified >= _NOTIFY_SECONDS:
            self._notified = now
            super().notify()  # type: ignore[no-untyped-call]

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(timeout)  # type: ignore[no-untyped-call]
        if self._counter and self._waiting:
            if len(self._waiting) < self.nr_conns:
                # Whoever is about to ask shares the commit, which costs as much as an answer.
                os.sched_yield()
                super().wait_for_and_dispatch_events(0)  # type: ignore[no-untyped-call]
            self._answer_waiting(self._counter)

    def on_client_socket_readable(self, conn: gthread.TConn, client: socket.socket) -> None:
        """Let the counter look at what came; what it leaves alone goes to a thread."""
        if conn in self._waiting:
            return  # the poller says it again once this one is answered
        counter = self._counter
        if not (counter and isinstance(conn.client, tuple) and self.alive and self._may_answer()):
            self._hand_over(conn, b"")
            return
        raw = b""
        with suppress(OSError):  # the thread will find out, too
            raw = client.recv(_RECEIVED_BYTES)
        ready = _tried(partial(counter.look, raw, conn.client))
        if ready is None:
            self._hand_over(conn, raw)
        else:
            self._waiting[conn] = (raw, ready)

    def _may_answer(self) -> bool:
        """Whether the worker is not to be recycled yet: gunicorn's own way ends it."""
        return bool(self.nr + len(self._waiting) + 1 < self.max_requests)

    def _hand_over(self, conn: gthread.TConn, raw: bytes) -> None:
        """Let a thread read `raw`, which was taken from the socket, and all that comes after it."""
        conn.parser.unreader.unread(raw)  # type: ignore[union-attr]
        super().on_client_socket_readable(conn, conn.sock)  # type: ignore[no-untyped-call]

    def _answer_waiting(self, counter: Counter) -> None:
        """One commit for the rows of all, then their answers."""
        waiting, self._waiting = self._waiting, {}
        answers = [ready for _, ready in waiting.values()]
        if not _tried(partial(counter.audited, answers)):
            for conn, (raw, _) in waiting.items():
                self._hand_over(conn, raw)
            return
        self.nr += len(waiting)
        for conn, response in zip(waiting, counter.said(answers), strict=True):
            self._send(conn, response)

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
        if conn.parser is None:
            conn.parser = Parser(self.cfg, conn.sock, conn.client)
            with suppress(OSError):  # gone already, as the next read will find
                for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                    conn.sock.setsockopt(socket.SOL_SOCKET, direction, _SOCKET_PATIENCE)
        return super().handle(conn)  # type: ignore[no-untyped-call]

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
            client.sendall(answer_of(status, code, detail, request_id))


def _tried(call: Callable[[], Result]) -> Result | None:
    """None for an error: whoever is not answered at the counter goes to a thread, which tells."""
    try:
        return call()
    except Exception:
        log.debug("not answered at the counter", exc_info=True)
        return None


def _send_slowly(conn: gthread.TConn, rest: bytes) -> bool:
    conn.sock.setblocking(True)
    conn.sock.sendall(rest)
    return True
