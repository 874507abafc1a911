"""Predictions for which nothing has to be waited, answered where the connections are polled.

To hand a connection to another thread and back costs more than the prediction. The requests of one
round of the poll share one command that counts them against the limit, one commit of their audit
rows and one write of their log lines. Whatever is asked in another form, is not in memory, is over
the limit or can't be audited at once goes to a thread and the framework. Tests hold the answers of
both to each other, to the byte.
"""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from time import perf_counter

from flask import Flask
from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.util import http_date

from mlengine.bootstrap.platform import Platform
from mlengine.core.line_names import LINE_NAME
from mlengine.services.predictions.prediction_builder import PredictionRequest
from mlengine.stores.system import spans
from mlengine.stores.telemetry.counters import Counters
from mlengine.web.http import hooks, request_ids, traces
from mlengine.web.http.intermediaries.cors import CorsPolicy
from mlengine.web.http.intermediaries.forwarding import trust_proxies
from mlengine.web.http.limits import RateLimit
from mlengine.web.http.requests import PLATFORM
from mlengine.web.http.responses import encode_trusted_utc
from mlengine.web.http.telemetry.request_metrics import AnswerCounter, count_refused
from mlengine.web.schemas.predict import prediction_body
from mlengine.web.serving.inline.champions import ChampionsAtHand
from mlengine.web.serving.inline.id_headers import (
    TRACE_NAME,
    without_request_id,
    without_trace,
)
from mlengine.web.serving.inline.pending_response import Client, PendingResponse
from mlengine.web.serving.parser import LenientRequest, ReceivedBytes

Address = tuple[str, int]

# Symbols that a query holds as they are, which is nearly all; others go through the framework.
_UNENCODED_SYMBOL = r"[A-Za-z0-9][A-Za-z0-9._:/^=-]{0,31}"

ROUTES = "mlengine.inline"
_CACHED_HEADERS = 512
# Headers that say more than who asks and what is accepted, or that another part listens to.
_NOT_PLAIN = frozenset(
    ("CONTENT-LENGTH", "TRANSFER-ENCODING", "EXPECT", "UPGRADE", "SCRIPT_NAME", "PATH_INFO")
)


@dataclass(frozen=True)
class FastPathRoutes:
    """What may be answered inline: `/predict` at these paths, within the limit, if there is one."""

    paths: tuple[str, ...]
    rate_limit: RateLimit | None
    trusted_proxies: int
    cors: CorsPolicy = field(default_factory=lambda: CorsPolicy(()))


class FastPathPredictor:
    """Answers plain requests for predictions; one thread of a worker uses it."""

    def __init__(self, platform: Platform, cfg: Config, routes: FastPathRoutes) -> None:
        self._predict = platform.predict
        self._champions = ChampionsAtHand(platform)
        self._clock = platform.control.clock
        self._answered = lru_cache(1)(
            lambda: AnswerCounter(platform.counters, "/predict", "GET", 200)
        )
        self._cfg = cfg
        self._rate_limit = routes.rate_limit
        self._plain = fast_path_request_pattern(routes.paths)
        self._client_address = trust_proxies(_remote_address, routes.trusted_proxies)
        self._cors = routes.cors
        self._client_of = lru_cache(_CACHED_HEADERS)(self._read_headers)
        self._second, self._date = 0, ""

    def begin_round(self) -> None:
        """Look anew, once for all requests of the round, for what other processes changed."""
        self._champions.begin_round()

    def try_answer(self, raw: bytes, client: Address) -> PendingResponse | None:
        """The answer to the request `raw` of the TCP `client`, where it is plain and in memory."""
        request = self._plain.match(raw)
        if request is None:
            return None
        started = perf_counter()
        headers, request_id = without_request_id(raw[request.end() - 1 :])
        trace_id = None
        if TRACE_NAME in headers:
            headers, trace_id = without_trace(headers)
        asking = self._client_of(headers, client[0], request_id is not None, trace_id is not None)
        if asking is None:
            return None
        champion = self._champions.of(request[3])
        if champion is None:
            return None
        asked = _prediction_request(request_id, trace_id, self._clock())
        answer = champion.predict.predict_if_cached(request[2].decode(), champion.model, asked)
        if answer is None:
            return None
        body = encode_trusted_utc(prediction_body(answer.prediction))
        return PendingResponse(answer, body, request[1].decode(), asking, started)

    def respond(self, pending: Sequence[PendingResponse]) -> list[bytes | None]:
        """The whole response of each once it is counted, audited and logged.

        None has to be answered by the framework, which counts it where `rate_headers` is None.
        """
        self._count(pending)
        admitted = [each for each in pending if each.rate_headers is not None]
        if not admitted or not self._predict.try_audit([each.answer for each in admitted]):
            return [None] * len(pending)
        # All of a round are read at once, and answered at once.
        self._answered().count(pending[0].started, len(admitted))
        hooks.log_requests([each.log_line() for each in admitted])
        date = self._now()
        return [None if each.rate_headers is None else each.encode(date) for each in pending]

    def _count(self, pending: Sequence[PendingResponse]) -> None:
        limit = self._rate_limit
        addresses = [each.client.address for each in pending]
        rate_headers = limit.admit(addresses) if limit else [[] for _ in pending]
        for each, headers in zip(pending, rate_headers, strict=True):
            each.rate_headers = headers

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, str(http_date(second))  # type: ignore[no-untyped-call]
        return self._date

    def _read_headers(
        self, headers: bytes, host: str, has_id: bool, has_trace: bool
    ) -> Client | None:
        """Who asks, where the server's own parser finds plain headers, else None.

        Of request ids and traces it must find the one that was taken out, if any, and no other.
        """
        received = ReceivedBytes(b"GET / HTTP/1.1\r" + headers)
        try:
            request = LenientRequest(self._cfg, received, (host, 0))  # type: ignore[no-untyped-call]
        except (ParseException, NoMoreData):
            return None
        names = [name for name, _ in request.headers]
        plain = (
            not request.should_close()  # type: ignore[no-untyped-call]
            and not received.take_buffered()  # type: ignore[no-untyped-call]
            and _NOT_PLAIN.isdisjoint(names)
            and names.count(request_ids.HEADER.upper()) == has_id
            and names.count("TRACEPARENT") == has_trace
        )
        if not plain:
            return None
        forwarded, origin = (_joined(request, name) for name in ("X-FORWARDED-FOR", "ORIGIN"))
        environ = {"REMOTE_ADDR": host, "HTTP_X_FORWARDED_FOR": forwarded}
        return Client(str(self._client_address(environ, None)), self._cors.headers(origin))


def fast_path_request_pattern(paths: Iterable[str]) -> re.Pattern[bytes]:
    """The first line of a request for a `symbol`, of one line if any, at one of `paths`."""
    path = "|".join(re.escape(each) for each in paths)
    line = f"(?:&model=({LINE_NAME.pattern}))?"
    pattern = rf"GET ({path})\?symbol=({_UNENCODED_SYMBOL}){line} HTTP/1\.1\r\n"
    return re.compile(pattern.encode())


def _joined(request: LenientRequest, name: str) -> str:
    """As in a WSGI environment."""
    return ",".join(value for each, value in request.headers if each == name)


def _remote_address(environ: dict[str, str], _: object) -> str:
    """A WSGI application whose answer is the client's address."""
    return environ["REMOTE_ADDR"]


def _prediction_request(
    request_id: str | None, trace_id: str | None, now: datetime
) -> PredictionRequest:
    """With new ids where the client gave none: one for both."""
    if request_id is None:
        return PredictionRequest(request_ids.new_request_id(), now, trace_id=trace_id)
    trace_id = trace_id or traces.own_trace_id(request_id)
    return PredictionRequest(
        request_id, now, trace_id=traces.audited_trace_id(trace_id, request_id)
    )


def init_app(
    app: Flask,
    *,
    paths: Iterable[str],
    rate_limit: RateLimit | None,
    trusted_proxies: int,
    cors: CorsPolicy,
) -> None:
    """Let the server answer plain requests at `paths` before they come to `app`."""
    app.extensions[ROUTES] = FastPathRoutes(tuple(paths), rate_limit, trusted_proxies, cors)


def prediction_paths(app: object) -> tuple[str, ...]:
    """Where a platform's application answers single predictions; none of another one."""
    routes: FastPathRoutes | None = getattr(app, "extensions", {}).get(ROUTES)
    return routes.paths if routes else ()


def fast_path_predictor(app: object, cfg: Config) -> FastPathPredictor | None:
    """The predictor of a platform's application, else None.

    None also where the server would do more around a request than answer it.
    """
    extensions = getattr(app, "extensions", {})
    if ROUTES not in extensions or cfg.is_ssl or cfg.accesslog or cfg.statsd_host:
        return None
    if spans.are_recorded():
        return None
    return FastPathPredictor(extensions[PLATFORM], cfg, extensions[ROUTES])


def refusal_counter(app: object) -> Callable[[int], None]:
    """Counts, by its status, an answer that did not come from a platform's application."""
    platform = getattr(app, "extensions", {}).get(PLATFORM)
    return partial(count_refused, platform.counters if platform else Counters())
