"""What happens, as it happens."""

import re
from collections.abc import Iterator

from flask import Blueprint, Response, current_app, request

from mlengine.errors import InvalidRequest, TooManyStreams
from mlengine.web.http.auth import open_by_default
from mlengine.web.http.contract import says
from mlengine.web.http.problem_groups import AUDIT
from mlengine.web.http.requests import load_query, platform
from mlengine.web.schemas.events import EventsQuery
from mlengine.web.serving.streams.places import places_of
from mlengine.web.serving.streams.subscription import (
    MEDIA_TYPE,
    OPENING,
    Subscription,
    attach,
)

blueprint = Blueprint("events", __name__)

_QUERY = EventsQuery()
_LAST_EVENT = "Last-Event-ID"
_NUMBER = re.compile(r"[0-9]{1,18}")
# What a server that can't go on with an answer gives of it.
_MOST_MESSAGES = 500


@blueprint.get("/events")
@open_by_default("read")
@says(
    query=_QUERY,
    headers=(_LAST_EVENT,),
    answers={200: MEDIA_TYPE},
    problems=("too_many_streams", *AUDIT),
)
def events() -> Response:
    """What happens, as it happens.

    Server-sent events: the messages that webhooks get ([Being told](hooks.md)), each with its
    number as `id` and its type as `event`. A new one comes within two seconds. A line with a colon
    comes every fifteen seconds where there is nothing else.

    Who sends `Last-Event-ID`, as browsers do by themselves, gets what came since: nothing is left
    out for thirty days. Without it the stream begins with what comes next. A web worker serves 64
    streams; more are 503. Who does not read what it gets is cut off.
    """
    types = load_query(_QUERY)["types"]
    seq = _last_seen()
    if request.method != "GET":
        return _streaming([])
    places = places_of(current_app)
    if places and places.are_full:
        raise TooManyStreams
    subscription = Subscription(types, seq)
    if attach(request.environ, subscription):
        return _streaming([])
    # The client comes back for the rest.
    past = platform().control.outbox.after(seq, limit=_MOST_MESSAGES)
    return _streaming([subscription.take(past)])


def _last_seen() -> int:
    """The number of the message to go on behind; raises InvalidRequest for what is none."""
    text = request.headers.get(_LAST_EVENT)
    newest = platform().control.outbox.newest_seq()
    if not text:
        return newest
    if not _NUMBER.fullmatch(text):
        raise InvalidRequest({_LAST_EVENT: ["must be the id of an event"]})
    return min(int(text), newest)


def _streaming(parts: list[bytes]) -> Response:
    """Of a length that is not known."""

    def body() -> Iterator[bytes]:
        yield OPENING
        yield from filter(None, parts)

    return Response(body(), mimetype=MEDIA_TYPE, headers={"X-Accel-Buffering": "no"})
