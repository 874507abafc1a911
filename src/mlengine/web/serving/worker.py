"""gunicorn's worker: what its parser refuses is answered and logged like everything else."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from mlengine import logs
from mlengine.web.http.request_ids import new_request_id
from mlengine.web.serving.client_connections import _RECEIVED_BYTES, ClientConnections
from mlengine.web.serving.connections import Connection
from mlengine.web.serving.parser import LenientRequest
from mlengine.web.serving.parser_errors import problem_of, raw_response
from mlengine.web.serving.request_queue import RequestQueue, running_threads
from mlengine.web.serving.response_buffer import Exchange, ResponseBuffer
from mlengine.web.serving.sockets import connections_waiting, send_at_once

if TYPE_CHECKING:
    from mlengine.web.serving.fast_path import FastPathPredictor
    from mlengine.web.serving.inline.pending_response import PendingResponse

log = logging.getLogger(__name__)

Result = TypeVar("Result")

# Whose request was answered, and what the client did not take yet; None where it has gone.
_Answered = tuple[Connection, LenientRequest, memoryview | None]

# So many requests are worked on at once; more would keep the polling thread from its turn.
WORKING_THREADS = 4
_APP_LOAD_ERROR = 4  # gunicorn's own code for it: the master stops instead of trying for ever
_SECONDS_APART = 2.0
_NOTIFY_SECONDS = 0.2
# What a worker gives those with fewer connections for each that it has, at most, and in which time
# an offer is the same one.
_HEAD_START_SECONDS, _LONGEST_SECONDS, _FORGOTTEN_SECONDS = 0.00003, 0.0003, 0.05

# With more that wait than a few it takes many at once: threads that compute make a poll long.
_FEW, _MOST_AT_ONCE, _ACCEPT_SECONDS = 16, 64, 0.005
# So many answers share a commit, and no more wait for each other.
_MOST_PENDING = 64
# Whoever computes lets the polling thread have its turn within that, a tenth of what is usual.
_SWITCH_SECONDS = 0.0005


class Worker(ClientConnections):
    """A worker of a few threads; the one that polls the connections answers what is in memory."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fast_path: FastPathPredictor | None = None
        self._probes: dict[str, Executor] = {}
        self._prediction_paths: tuple[str, ...] = ()
        self._pending: dict[Connection, tuple[bytes, PendingResponse]] = {}
        self._count_refusal: Callable[[int], None] = lambda _: None
        self._offered = 0.0
        self._notified = 0.0

    def init_process(self) -> None:
        sys.setswitchinterval(_SWITCH_SECONDS)
        super().init_process()  # type: ignore[no-untyped-call]

    def get_thread_pool(self) -> Executor:
        executor = running_threads(self.cfg.threads, name="request")
        self._queue: RequestQueue[_Answered] = RequestQueue(executor, most_at_once=WORKING_THREADS)
        return executor

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
        from mlengine.web.serving import fast_path  # noqa: PLC0415
        from mlengine.web.serving.probes import probe_executors  # noqa: PLC0415

        self._fast_path = fast_path.fast_path_predictor(self.wsgi, self.cfg)
        self._prediction_paths = fast_path.prediction_paths(self.wsgi)
        self._probes = probe_executors(self.wsgi)
        self._count_refusal = fast_path.refusal_counter(self.wsgi)

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
        waiting = connections_waiting(listener)
        for _ in range(min(waiting // self.cfg.workers, _MOST_AT_ONCE) if waiting > _FEW else 1):
            super().accept(listener)
            if time.perf_counter() - now > _ACCEPT_SECONDS:
                break

    def notify(self) -> None:
        """The master looks every second at most; a call costs as much as a poll."""
        now = time.monotonic()
        if now - self._notified >= _NOTIFY_SECONDS:
            self._notified = now
            super().notify()  # type: ignore[no-untyped-call]

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        self._dispatch_round(timeout)
        if self._fast_path and self._pending:
            if len(self._pending) + self.connections.streams < self.nr_conns:
                # Whoever is about to ask shares the commit, which costs as much as an answer.
                os.sched_yield()
                self._dispatch_round(0)
            self._respond(self._fast_path)

    def _dispatch_round(self, timeout: float) -> None:
        if self._fast_path:
            self._fast_path.begin_round()
        super().wait_for_and_dispatch_events(timeout)

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Answer what came once the round is over, or go on as with any request."""
        inline = self._fast_path
        if not (inline and conn.client and self._may_answer()) or conn.reader.size:
            super().on_client_socket_readable(conn, client)
            return
        if conn in self._pending or conn not in self.connections:
            return  # the poller reports the next request again once this one is answered
        raw = self._received(conn, client, _RECEIVED_BYTES)
        if raw is None:
            return
        pending = _attempt(partial(inline.try_answer, raw, conn.client))
        if pending is None:
            self.receive(conn, raw)
            return
        self._pending[conn] = (raw, pending)
        if len(self._pending) >= _MOST_PENDING:
            self._respond(inline)

    def _may_answer(self) -> bool:
        """Whether the worker is not to end yet: gunicorn's own way ends it."""
        return self.alive and self.nr + len(self._pending) + 1 < self.max_requests

    def _respond(self, inline: FastPathPredictor) -> None:
        """Send the answers of a round; what was counted and not answered is not counted again."""
        pending, self._pending = self._pending, {}
        answers = [answer for _, answer in pending.values()]
        responses = _attempt(partial(inline.respond, answers)) or [None] * len(pending)
        for (conn, (raw, answer)), response in zip(pending.items(), responses, strict=True):
            if conn not in self.connections:
                continue
            if response is not None:
                self.nr += 1
                self._send(conn, response)
                continue
            conn.rate_headers = answer.rate_headers or None
            self.receive(conn, raw)

    def _send(self, conn: Connection, response: bytes) -> None:
        try:
            rest = send_at_once(conn.sock, memoryview(response))
        except OSError:
            self.drop(conn)
            return
        if rest:
            self.send_rest(conn, rest)
        else:
            self.connections.set_idle(conn, time.monotonic() + self.cfg.keepalive)

    def hand_over(self, conn: Connection, request: LenientRequest) -> None:
        """Let a thread answer: one of its own where the question is whether the platform lives."""
        self.stop_polling(conn)
        path, answer = request.path or "", partial(self._answer, conn, request, time.perf_counter())
        if path in self._probes:
            answering = self._probes[path].submit(answer)
        else:
            answering = self._queue.submit(answer, is_prediction=path in self._prediction_paths)
        answering.add_done_callback(partial(self.method_queue.defer, self._end_request))

    def _answer(self, conn: Connection, request: LenientRequest, received: float) -> _Answered:
        """Send as much of the answer as the client takes at once."""
        from mlengine.web.http import limits, requests  # noqa: PLC0415 - as in load_wsgi

        requests.read_at.set(received)
        response = ResponseBuffer()
        rate_headers, conn.rate_headers = conn.rate_headers, None
        token = limits.counted_headers.set(rate_headers)
        try:
            is_kept = self.handle_request(request, Exchange(response, conn.client, conn.server))  # type: ignore[no-untyped-call]
            is_kept = is_kept and request.discard_body()
        except StopIteration:  # it broke in the middle of its answer, which is logged
            is_kept = False
        except Exception as error:
            self.handle_error(request, response, conn.client, error)
            is_kept = False
        finally:
            limits.counted_headers.reset(token)
        conn.closes, conn.subscription = not is_kept, response.take_subscription()
        try:
            return conn, request, response.send_to(conn.sock)
        except OSError:
            return conn, request, None

    def _end_request(self, answering: Future[_Answered]) -> None:
        """Go on with the rest of the answer, or with what the client sent behind its request."""
        conn, request, rest = answering.result()
        if rest is None:
            self.drop(conn)
            return
        conn.read_ahead = request.unreader.take_buffered()
        self.send_rest(conn, rest)

    def handle_error(self, _req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what never reached the application, or what it could not answer."""
        code, status, detail = problem_of(exc)
        request_id = new_request_id()
        address = addr[0] if addr else None
        reason = type(exc).__name__
        facts = {"status": status, "address": address, "code": code, "reason": reason}
        with logs.bound_ids(request=request_id):
            if status == HTTPStatus.INTERNAL_SERVER_ERROR:
                log.error("request failed", extra=facts, exc_info=exc)
            else:
                log.info("request refused", extra=facts)
        self._count_refusal(status)
        with suppress(OSError):
            client.sendall(raw_response(status, code, detail, request_id))


def _attempt(call: Callable[[], Result]) -> Result | None:
    """None for an error: whoever is not answered inline goes to a thread, which reports it."""
    try:
        return call()
    except Exception:
        log.debug("not answered at the counter", exc_info=True)
        return None
