"""One GET to the upstream: time-outs, bounded retries, one deadline, a cap on what is read."""

import logging
import random
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import requests
import urllib3

from mlengine.errors import UpstreamUnavailable
from mlengine.stores.market_data.body import Body
from mlengine.stores.market_data.credentials import NO_CREDENTIALS, Credentials
from mlengine.stores.market_data.retry_after import wait_seconds
from mlengine.stores.market_data.service_pause import ServicePause, retry_after
from mlengine.stores.market_data.socket_deadlines import deadline_session, socket_deadline
from mlengine.stores.system.spans import outgoing_headers, span

log = logging.getLogger(__name__)
# Its lines show whole addresses, and there may be a key in one.
logging.getLogger("urllib3.connectionpool").setLevel(logging.WARNING)

_CHUNK_BYTES = 65_536
_EXCERPT_BYTES = 1_024
_LOGGED_BYTES = 200
# So many bodies above that size are in memory at once; the others wait for their turn.
_LARGE_BYTES = 131_072
_LARGE_BODIES = threading.BoundedSemaphore(4)
_JITTER = random.SystemRandom()


@dataclass(frozen=True)
class RetryableFailure:
    """What went wrong but may go right next time.

    `wait_seconds` is the upstream's Retry-After; `is_limit` says that it is asked too often.
    """

    reason: str
    wait_seconds: float | None = None
    is_limit: bool = False


@dataclass(eq=False)
class BadAnswer(Exception):
    """An answer that no further attempt betters: its status, and how its body begins."""

    reason: str
    status: int
    body: bytes


@dataclass(frozen=True)
class BodySize:
    """How much a body may hold; JSON has a comma between any two values."""

    most_bytes: int
    most_values: int

    def excess(self, size: int, values: int) -> str | None:
        """What there is too much of in the beginning of a body."""
        if size > self.most_bytes:
            return f"{self.most_bytes} bytes"
        return f"{self.most_values} values" if values > self.most_values else None


@dataclass(frozen=True)
class Transport:
    """GETs below one address; a session a thread, no redirects, nothing from the environment."""

    base_url: str
    timeout_seconds: float
    retry_attempts: int
    retry_backoff_seconds: float
    size: BodySize
    credentials: Credentials = NO_CREDENTIALS
    pause: ServicePause = field(default_factory=ServicePause)
    _own: threading.local = field(default_factory=threading.local, repr=False)

    @property
    def base_path(self) -> str:
        """The path that all others are below of."""
        return urlsplit(self.base_url).path

    def get(self, path: str, query: Mapping[str, str], *, ends_at: float) -> Body | None:
        """The body, None for a 404, before `ends_at` (of `time.monotonic`); the caller closes it.

        Connection errors, 429 and 5xx are tried again, at most `retry_attempts` times, after a
        back-off, and never before the moment that Retry-After names, whoever was told; a wait that
        would pass `ends_at` is not begun. Raises UpstreamUnavailable, BadAnswer.
        """
        attempt = 0
        while True:
            self.pause.wait(ends_at)
            try:
                result = self._attempt(path, query, ends_at)
            except BadAnswer as bad:
                self._own.newest = bad.body
                raise
            if not isinstance(result, RetryableFailure):
                self._own.newest = result.beginning if result else b""
                return result
            wait = self._back_off(result, attempt)
            if attempt >= self.retry_attempts or time.monotonic() + wait >= ends_at:
                usual = UpstreamUnavailable.retry_after_seconds
                seconds = usual if result.wait_seconds is None else retry_after(wait)
                raise UpstreamUnavailable(result.reason, seconds)
            time.sleep(wait)
            attempt += 1

    def remember(self, beginning: bytes, *, is_first: bool) -> None:
        """That the answers which follow say the same begins so, if this is their first."""
        if is_first:
            self._own.first = beginning

    def log_refusal(
        self, reason: str, facts: Mapping[str, object], *, of_all: bool = False
    ) -> None:
        """Log how the answer begins that this thread got last, without secrets, and why it is none.

        With `of_all` the one that was to be remembered, of all that it got.
        """
        said: bytes = getattr(self._own, "first" if of_all else "newest", b"")
        beginning = said[: 4 * _LOGGED_BYTES]
        text = self.credentials.redact(beginning.decode(errors="replace"))[:_LOGGED_BYTES]
        log.warning("upstream answer refused", extra={**facts, "reason": reason, "answer": text})

    def _back_off(self, failure: RetryableFailure, attempt: int) -> float:
        """The seconds before the next attempt; they hold for all symbols where the service asks."""
        wait = self.retry_backoff_seconds * 2.0**attempt * _JITTER.uniform(0.5, 1.0)
        wait = max(wait, failure.wait_seconds or 0.0)
        if failure.is_limit or failure.wait_seconds is not None:
            self.pause.extend(wait)
        return wait

    def _attempt(
        self, path: str, query: Mapping[str, str], ends_at: float
    ) -> Body | RetryableFailure | None:
        limit = min(self.timeout_seconds, ends_at - time.monotonic())
        if limit <= 0:
            return RetryableFailure("no answer before the deadline")
        try:
            with (
                span("client", "GET", _span_attributes(f"{self.base_url}{path}")) as found,
                socket_deadline(ends_at),
                self._session().get(
                    f"{self.base_url}{path}",
                    params={**query, **self.credentials.parameters},
                    headers=outgoing_headers(),
                    timeout=limit,
                    stream=True,
                    allow_redirects=False,
                ) as response,
            ):
                found["http.response.status_code"] = response.status_code
                return self._body(response, ends_at)
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            return RetryableFailure("it did not answer in time")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
            return RetryableFailure("the connection failed")

    def _body(self, response: requests.Response, ends_at: float) -> Body | RetryableFailure | None:
        status, is_limit = response.status_code, response.status_code == 429
        if is_limit or status >= 500:
            values = response.raw.headers.getlist("Retry-After")
            wait = wait_seconds(values, response.headers, datetime.now(UTC))
            reason = f"it answered with status {status}"
            return RetryableFailure(reason, wait, is_limit)
        if status == 404:
            return None
        if status != 200:
            beginning = response.raw.read1(_EXCERPT_BYTES)
            keyed = "; does it want another MARKET_DATA_API_KEY?" if status in (401, 403) else ""
            raise BadAnswer(f"it answered with status {status}{keyed}", status, beginning)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise BadAnswer("the answer is compressed, which was not asked for", status, b"")
        return _read(response, ends_at, self.size)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = deadline_session()
            session.trust_env = False
            session.headers.update({"Accept": "application/json", "Accept-Encoding": "identity"})
            session.headers.update(self.credentials.headers)
        return session


def _span_attributes(url: str) -> dict[str, str | int]:
    """Without the query, in which there may be a key."""
    attributes: dict[str, str | int] = {"http.request.method": "GET"}
    with suppress(ValueError):  # an address that is none
        parts = urlsplit(url)
        attributes |= {"server.address": parts.hostname or "", "url.path": parts.path}
        if parts.port:
            attributes["server.port"] = parts.port
    return attributes


def _read(response: requests.Response, ends_at: float, size: BodySize) -> Body:
    body, values = Body(), 0
    with ExitStack() as large, ExitStack() as unfinished:
        unfinished.push(body)
        while piece := response.raw.read1(_CHUNK_BYTES):
            if body.size <= _LARGE_BYTES < body.size + len(piece):
                _take_turn(large, ends_at)
            body.append(piece)
            values += piece.count(b",")
            excess = size.excess(body.size, values)
            if excess:
                reason = f"the answer is longer than {excess}"
                raise BadAnswer(reason, response.status_code, body.beginning)
        unfinished.pop_all()
    return body


def _take_turn(turn: ExitStack, ends_at: float) -> None:
    """Hold one of the few places for large bodies until the end of `turn`."""
    patience = min(max(0.0, ends_at - time.monotonic()), threading.TIMEOUT_MAX)
    if not _LARGE_BODIES.acquire(timeout=patience):
        raise TimeoutError
    turn.callback(_LARGE_BODIES.release)
