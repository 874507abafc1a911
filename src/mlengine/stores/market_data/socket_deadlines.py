"""HTTP whose every byte, those of the status line and the headers too, comes before a deadline.

A time-out of `requests` holds for one read of the socket; a service that sends its headers byte
by byte keeps it and never ends.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_ENDS_AT: ContextVar[float] = ContextVar("ends_at", default=float("inf"))


@contextmanager
def socket_deadline(ends_at: float) -> Iterator[None]:
    """Reads of this thread raise TimeoutError from `ends_at` (of `time.monotonic`) on."""
    token = _ENDS_AT.set(ends_at)
    try:
        yield
    finally:
        _ENDS_AT.reset(token)


def deadline_session() -> requests.Session:
    """A session that keeps to `socket_deadline`."""
    session = requests.Session()
    session.mount("http://", _Adapter())
    session.mount("https://", _Adapter())
    return session


class _Reader(io.RawIOBase):
    """What a socket receives, each read within its time-out and the deadline."""

    def __init__(self, received: io.RawIOBase, connection: socket.socket) -> None:
        self._received = received
        self._connection = connection
        self._timeout_seconds = cast("float", connection.gettimeout())

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        left = _ENDS_AT.get() - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(min(self._timeout_seconds, left))
        return self._received.readinto(buffer)

    def close(self) -> None:
        self._received.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
