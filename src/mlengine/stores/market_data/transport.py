"""One GET to the upstream: time-outs, bounded retries, one deadline, a cap on what is read."""

import logging
import math
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
import urllib3

from mlengine.errors import UpstreamUnavailable
from mlengine.stores.market_data.credentials import NO_CREDENTIALS, Credentials
from mlengine.stores.market_data.socket_deadlines import deadline_session, socket_deadline

# Its lines show whole addresses, and there may be a key in one.
logging.getLogger("urllib3.connectionpool").setLevel(logging.WARNING)

_CHUNK_BYTES = 65_536
_EXCERPT_BYTES = 1_024
_LONGEST_WAIT_SECONDS = 3_600
_JITTER = random.SystemRandom()


@dataclass(frozen=True)
class RetryableFailure:
    """What went wrong but may go right next time; `wait_seconds` is the upstream's Retry-After."""

    reason: str
    wait_seconds: float | None = None


@dataclass(eq=False)
class BadAnswer(Exception):
    """An answer that no further attempt betters: its status, and how its body begins."""

    reason: str
    status: int
    body: bytes


@dataclass(frozen=True)
class Transport:
    """GETs below one address; a session a thread, no redirects, nothing from the environment."""

    base_url: str
    timeout_seconds: float
    retry_attempts: int
    retry_backoff_seconds: float
    body_limit_bytes: int
    credentials: Credentials = NO_CREDENTIALS
    _own: threading.local = field(default_factory=threading.local, repr=False)

    def get(self, path: str, query: Mapping[str, str], *, ends_at: float) -> bytes | None:
        """The body, None for a 404, before `ends_at` (of `time.monotonic`).

        Connection errors, 429 and 5xx are tried again, at most `retry_attempts` times, after a
        back-off or when Retry-After says; a wait that would pass `ends_at` is not begun. Raises
        UpstreamUnavailable, BadAnswer.
        """
        attempt = 0
        while True:
            result = self._attempt(path, query, ends_at)
            if not isinstance(result, RetryableFailure):
                return result
            wait = result.wait_seconds
            if wait is None:
                wait = self.retry_backoff_seconds * 2.0**attempt * _JITTER.uniform(0.5, 1.0)
            if attempt >= self.retry_attempts or time.monotonic() + wait >= ends_at:
                raise UpstreamUnavailable(result.reason, _retry_after(result))
            time.sleep(wait)
            attempt += 1

    def _attempt(
        self, path: str, query: Mapping[str, str], ends_at: float
    ) -> bytes | RetryableFailure | None:
        limit = min(self.timeout_seconds, ends_at - time.monotonic())
        if limit <= 0:
            return RetryableFailure("no answer before the deadline")
        try:
            with (
                socket_deadline(ends_at),
                self._session().get(
                    f"{self.base_url}{path}",
                    params={**query, **self.credentials.parameters},
                    timeout=limit,
                    stream=True,
                    allow_redirects=False,
                ) as response,
            ):
                return self._body(response)
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            return RetryableFailure("it did not answer in time")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
            return RetryableFailure("the connection failed")

    def _body(self, response: requests.Response) -> bytes | RetryableFailure | None:
        status = response.status_code
        if status == 404:
            return None
        if status == 429 or status >= 500:
            wait = _parse_retry_after(response.headers)
            return RetryableFailure(f"it answered with status {status}", wait)
        if status != 200:
            beginning = response.raw.read1(_EXCERPT_BYTES)
            raise BadAnswer(f"it answered with status {status}", status, beginning)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise BadAnswer("the answer is compressed, which was not asked for", status, b"")
        return self._read(response)

    def _read(self, response: requests.Response) -> bytes:
        body = bytearray()
        while piece := response.raw.read1(_CHUNK_BYTES):
            body += piece
            if len(body) > self.body_limit_bytes:
                reason = f"the answer is longer than {self.body_limit_bytes} bytes"
                raise BadAnswer(reason, response.status_code, bytes(body[:_EXCERPT_BYTES]))
        return bytes(body)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = deadline_session()
            session.trust_env = False
            session.headers.update({"Accept": "application/json", "Accept-Encoding": "identity"})
            session.headers.update(self.credentials.headers)
        return session


def _retry_after(failure: RetryableFailure) -> int:
    if failure.wait_seconds is None:
        return UpstreamUnavailable.retry_after_seconds
    return max(1, math.ceil(min(failure.wait_seconds, _LONGEST_WAIT_SECONDS)))


def _parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from Retry-After (a number or an HTTP date); None when absent, past or garbage."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    try:
        until = parsedate_to_datetime(value)
        since = parsedate_to_datetime(headers["Date"])
    except (ValueError, OverflowError, KeyError):
        return None
    return max(0.0, (_aware(until) - _aware(since)).total_seconds())


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
