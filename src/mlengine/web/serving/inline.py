"""The counter: plain questions that need no waiting, answered by the thread that reads them.

To hand a connection to another thread and back costs more than the prediction. Whatever is not
plain, not at hand or not audited at once is left alone, and goes the way of all other requests.
Tests hold the two ways to each other, to the byte.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from time import perf_counter

from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.parser import RequestParser
from gunicorn.util import http_date

from mlengine.services.predictions.service import PredictService
from mlengine.stores.audit.entries import Answered
from mlengine.web.http import hooks, request_ids
from mlengine.web.http.requests import PLATFORM
from mlengine.web.http.responses import encode_utc
from mlengine.web.schemas.fields import Symbol
from mlengine.web.schemas.predict import prediction_body
from mlengine.web.serving.fast_path import COUNTER_PATHS

Address = tuple[str, int]

_KNOWN_HEADERS = 512
_REQUEST_ID = re.compile(
    rb"(?<=\n)" + request_ids.HEADER.encode() + rb": ?([A-Za-z0-9._-]{1,128})\r\n", re.I
)
# Headers that say more than who asks and what is accepted, or that another part listens to.
_NOT_PLAIN = frozenset(
    ("CONTENT-LENGTH", "TRANSFER-ENCODING", "EXPECT", "UPGRADE", "SCRIPT_NAME", "PATH_INFO")
)
_HEAD = "\r\n".join(
    [
        "HTTP/1.1 200 OK",
        "Server: gunicorn",
        "Date: %s",
        "Connection: keep-alive",
        "Content-Type: application/json",
        "Content-Length: %d",
        f"{request_ids.HEADER}: %s",
        *(f"{name}: {value}" for name, value in hooks.ALWAYS),
        "\r\n",
    ]
)


@dataclass(frozen=True, slots=True)
class Ready:
    """An answer and its body, not audited yet; `started` by `perf_counter`."""

    answer: Answered
    body: bytes
    path: str
    started: float


class Counter:
    """Answers plain questions at `paths`; one thread of a worker uses it."""

    def __init__(self, predict: PredictService, cfg: Config, paths: Iterable[str]) -> None:
        self._predict = predict
        self._cfg = cfg
        listed = "|".join(re.escape(path) for path in paths)
        self._plain = re.compile(
            rf"GET ({listed})\?symbol=({Symbol.pattern.pattern}) HTTP/1\.1\r\n".encode()
        )
        self._are_plain = lru_cache(_KNOWN_HEADERS)(self._read_headers)
        self._second, self._date = 0, ""

    def look(self, raw: bytes, client: Address) -> Ready | None:
        """The answer to the request `raw` of the TCP `client`, where it is plain and at hand."""
        asked = self._plain.match(raw)
        if asked is None:
            return None
        started = perf_counter()
        headers, request_id = _without_request_id(raw[asked.end() - 1 :])
        if not self._are_plain(headers, client[0], request_id is not None):
            return None
        answer = self._predict.at_hand(
            asked[2].decode(),
            request_id=request_id or request_ids.new_request_id(),
            now=datetime.now(UTC),
        )
        if answer is None:
            return None
        body = encode_utc(prediction_body(answer.prediction))
        return Ready(answer, body, asked[1].decode(), started)

    def audited(self, waiting: Sequence[Ready]) -> bool:
        """Commit the rows of all that wait; False when none is, for want of quick ways."""
        return self._predict.audit_at_once([each.answer for each in waiting])

    def said(self, answered: Sequence[Ready]) -> list[bytes]:
        """The whole responses, logged as sent."""
        hooks.log_requests([_line(each) for each in answered])
        date = self._now()
        return [
            (_HEAD % (date, len(each.body), each.answer.prediction.request_id)).encode() + each.body
            for each in answered
        ]

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, str(http_date(second))  # type: ignore[no-untyped-call]
        return self._date

    def _read_headers(self, headers: bytes, host: str, named: bool) -> bool:
        """Whether the server's own parser finds nothing in them that another answer would need.

        Of request ids it must find the one that is `named`, if any, and no other.
        """
        whole = b"GET / HTTP/1.1\r" + headers
        parser = RequestParser(self._cfg, iter([whole]), (host, 0))  # type: ignore[no-untyped-call]
        try:
            request = next(parser)
        except (ParseException, NoMoreData):
            return False
        names = [name for name, _ in request.headers]
        return (
            not request.should_close()
            and not parser.unreader.take_buffered()  # type: ignore[no-untyped-call]
            and _NOT_PLAIN.isdisjoint(names)
            and names.count(request_ids.HEADER.upper()) == named
        )


def _line(ready: Ready) -> dict[str, object]:
    made = ready.answer.prediction
    ids = {"request_id": made.request_id, "model_version": made.model_version}
    return {**ids, **hooks.request_facts("GET", ready.path, 200, ready.started)}


def _without_request_id(headers: bytes) -> tuple[bytes, str | None]:
    """The same for each id, so that they are read once; and the first sane id."""
    named = _REQUEST_ID.search(headers)
    if named is None:
        return headers, None
    return headers[: named.start(1)] + b"x" + headers[named.end(1) :], named[1].decode()


def counter_of(app: object, cfg: Config) -> Counter | None:
    """The counter of a platform's application that has short ways, else None.

    None also where the server would do more around a request than answer it.
    """
    extensions = getattr(app, "extensions", {})
    paths = extensions.get(COUNTER_PATHS)
    if not paths or cfg.is_ssl or cfg.accesslog or cfg.statsd_host:
        return None
    return Counter(extensions[PLATFORM].predict, cfg, paths)
