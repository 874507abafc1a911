"""The open connections of a worker: what each waits for, until when, and what it keeps."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, islice, takewhile
from math import inf
from typing import TYPE_CHECKING, Any

from mlengine.web.serving.request_reader import RequestReader

if TYPE_CHECKING:
    from mlengine.web.http.rate_limit_headers import Headers
    from mlengine.web.serving.streams.subscription import Subscription

_SECONDS_BETWEEN_LOOKS = 0.1
# So many are closed before others get an answer.
_MOST_OVER = 64


@dataclass(eq=False, slots=True)
class Connection:
    """A client's; `closes` says that the answer in hand is its last.

    Each byte of an answer that it takes moves its deadline, but not beyond `answer_deadline`.
    `unread_bytes` were left with the system when its deadline came.
    `read_ahead` came behind the request in hand; `rate_headers` are those of one that is counted
    and not answered yet. With a `subscription` its answer goes on.
    """

    sock: socket.socket
    client: Any
    server: Any
    reader: RequestReader
    deadline: float = inf
    answer_deadline: float = inf
    unread_bytes: int = 0
    is_polled: bool = False
    closes: bool = False
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    read_ahead: bytes = b""
    rate_headers: Headers | None = None
    subscription: Subscription | None = None
    buffered: int = 0

    def facts(self, reason: str) -> dict[str, str | None]:
        """For a line of the log; the address of a proxy is its own."""
        return {"address": self.client[0] if self.client else None, "reason": reason}


class ConnectionTable:
    """Every connection is idle between two requests, waited for, or in a thread's hands.

    Waited for is the rest of a request, or that the client takes the rest of its answer.
    `next_deadline` is the moment, monotonic, before which none can be over. From `streams` of them
    no request comes.
    """

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._idle: dict[Connection, None] = {}
        self._waiting: dict[Connection, None] = {}
        self.buffered = self.streams = 0
        self.next_deadline = 0.0

    def __contains__(self, conn: Connection) -> bool:
        return conn in self._open

    def __len__(self) -> int:
        return len(self._open)

    def add(self, conn: Connection, deadline: float) -> None:
        self._open.add(conn)
        self.set_idle(conn, deadline)

    def remove(self, conn: Connection) -> None:
        self.set_busy(conn)
        self.set_buffered(conn, 0)
        self._open.discard(conn)

    def set_idle(self, conn: Connection, deadline: float) -> None:
        """It becomes the last to be dropped; `deadline` must not be before that of another."""
        self._waiting.pop(conn, None)
        self._idle.pop(conn, None)
        self._idle[conn] = None
        self._set_deadline(conn, deadline)

    def set_waiting(self, conn: Connection, deadline: float) -> None:
        self._idle.pop(conn, None)
        self._waiting.pop(conn, None)
        self._waiting[conn] = None
        self._set_deadline(conn, deadline)

    def set_busy(self, conn: Connection) -> None:
        self._idle.pop(conn, None)
        self._waiting.pop(conn, None)
        conn.deadline = inf

    def set_buffered(self, conn: Connection, size: int) -> None:
        """How many bytes are kept for it, in either direction."""
        self.buffered += size - conn.buffered
        conn.buffered = size

    def is_waiting(self, conn: Connection) -> bool:
        return conn in self._waiting

    def longest_idle(self) -> Connection | None:
        return next(iter(self._idle), None)

    def longest_waiting(self) -> Connection | None:
        return next(iter(self._waiting), None)

    def over(self, now: float) -> list[Connection]:
        """Some of those whose deadline has come: the others are over at the next look, at once."""
        idle = takewhile(lambda conn: conn.deadline <= now, self._idle)
        waiting = (conn for conn in self._waiting if conn.deadline <= now)
        over = list(islice(chain(idle, waiting), _MOST_OVER))
        if len(over) == _MOST_OVER:
            self.next_deadline = now
            return over
        left = self._open.difference(over)
        soonest = min((conn.deadline for conn in left), default=inf)
        self.next_deadline = max(soonest, now + _SECONDS_BETWEEN_LOOKS)
        return over

    def limit_deadlines(self, latest: float) -> None:
        """Those that the client keeps open, or takes its time with, end by then."""
        for conn in (*self._idle, *self._waiting):
            if not conn.unsent:
                self._set_deadline(conn, min(conn.deadline, latest))

    def all_kept(self) -> Iterable[Connection]:
        """All but those in a thread's hands."""
        return [*self._idle, *self._waiting]

    def _set_deadline(self, conn: Connection, deadline: float) -> None:
        conn.deadline = deadline
        self.next_deadline = min(self.next_deadline, deadline)
