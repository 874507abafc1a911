"""One call of a webhook: to an address that was checked, within a time, following nothing."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property

from mlengine.stores.hooks.addresses import AddressRefused, Target, parse_target, resolve
from mlengine.stores.hooks.delivery_store import Answer

TIMEOUT_SECONDS = 15.0
_READ_BYTES = 4096

_PRIVATE = "its address is a private one; HOOKS_ALLOW_PRIVATE allows them"


@dataclass(frozen=True)
class HookSender:
    """Calls private addresses, and plain http, only with `allow_private`."""

    allow_private: bool
    timeout_seconds: float = TIMEOUT_SECONDS

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """What the address answered; all its faults are answers too.

        The name is resolved once and the call goes to the address that was checked, so that it can
        not turn into another one in between. A redirect is an answer like any other.
        """
        ends_at = time.monotonic() + self.timeout_seconds
        try:
            target = parse_target(url, allow_private=self.allow_private)
            sock = self._connect(target, ends_at)
        except AddressRefused:
            return Answer(None, _PRIVATE)
        except ValueError as refusal:
            return Answer(None, str(refusal))
        except OSError as error:
            return Answer(None, _reason(error))
        with _ends(sock, ends_at) as kept:
            return self._exchange(target, kept, body, headers)

    def _connect(self, target: Target, ends_at: float) -> socket.socket:
        """A connection to the first address that takes it."""
        failure: OSError = OSError("no address")
        for family, address in resolve(target, allow_private=self.allow_private):
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(max(ends_at - time.monotonic(), 0.001))
                sock.connect(address)
            except OSError as error:
                sock.close()
                failure = error
            else:
                return sock
        raise failure

    def _exchange(
        self, target: Target, kept: _TimedSocket, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        connection = self._http(target)
        try:
            if target.is_secure:
                kept.sock = self._tls.wrap_socket(
                    kept.sock, server_hostname=target.host, do_handshake_on_connect=False
                )
                kept.sock.do_handshake()
            connection.sock = kept.sock
            connection.request("POST", target.path, body, {**headers, "Connection": "close"})
            response = connection.getresponse()
            # A receiver whose answer is not read may take that for a failure.
            with suppress(OSError, http.client.HTTPException):
                response.read(_READ_BYTES)
            return Answer(response.status, _reason_of_status(response.status))
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Answer(None, kept.reason or _reason(error))
        finally:
            connection.close()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made at the first call that needs it: all known authorities are read for it."""
        return ssl.create_default_context()

    def _http(self, target: Target) -> http.client.HTTPConnection:
        """It connects to nothing: it is handed its socket."""
        if target.is_secure:
            return http.client.HTTPSConnection(target.host, target.port, context=self._tls)
        return http.client.HTTPConnection(target.host, target.port)


class _TimedSocket:
    """A socket that is shut down at a moment, whatever is waited for; `reason` says so then."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reason = ""

    def end(self) -> None:
        self.reason = "no whole answer in time"
        with suppress(OSError):  # it is closed already
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


@contextmanager
def _ends(sock: socket.socket, ends_at: float) -> Iterator[_TimedSocket]:
    kept = _TimedSocket(sock)
    alarm = threading.Timer(max(ends_at - time.monotonic(), 0.0), kept.end)
    alarm.daemon = True
    alarm.start()
    try:
        yield kept
    finally:
        alarm.cancel()
        kept.sock.close()


def _reason(error: Exception) -> str:
    """In words of ours: those of a library may hold the URL, or what was received."""
    if isinstance(error, TimeoutError):
        return "no whole answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not valid"
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    return "the connection failed" if isinstance(error, OSError) else "its answer is no HTTP"


def _reason_of_status(status: int) -> str:
    if 300 <= status < 400:
        return "it redirects, which is not followed"
    return "" if 200 <= status < 300 else f"it answered {status}"
