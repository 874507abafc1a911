"""Each answer counted: by route, method and status, with how long it took."""

import re
from functools import lru_cache
from time import perf_counter

from flask import g, request

from mlengine.core.telemetry.families import HTTP_DURATION, HTTP_REQUESTS
from mlengine.stores.telemetry.counters import Counters
from mlengine.web.http.requests import read_at

UNMATCHED = "unmatched"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_VERSIONED = "/api/v1"
_PARAMETER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")


class AnswerCounter:
    """Counts the answers of one route, method and status."""

    def __init__(self, counters: Counters, route: str, method: str, status: int) -> None:
        self._answers = counters.count(HTTP_REQUESTS, route, method, str(status))
        self._durations = counters.sketch(HTTP_DURATION, route, method)

    def count(self, started: float, count: int = 1) -> None:
        """`count` answers to requests that were read at `started`, by `perf_counter`."""
        self._answers.add(count)
        self._durations.observe((perf_counter() - started) * 1000.0, count)


def count_request(counters: Counters, status: int) -> None:
    """Count the request that is being answered; its route is a template, never its path."""
    rule = request.url_rule
    route = route_of(rule.rule) if rule else UNMATCHED
    method = request.method if request.method in _METHODS else "other"
    AnswerCounter(counters, route, method, status).count(read_at.get() or g.started)


def count_refused(counters: Counters, status: int) -> None:
    """Count an answer to what was no request that could be read."""
    counters.count(HTTP_REQUESTS, UNMATCHED, "other", str(status)).add()


@lru_cache(512)
def route_of(rule: str) -> str:
    """A rule without its prefix, its parameters in braces: `/models/{version}`."""
    path = rule.removeprefix(_VERSIONED) if rule.startswith(f"{_VERSIONED}/") else rule
    return _PARAMETER.sub(r"{\1}", path)
