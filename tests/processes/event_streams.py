"""A tiny application with streams of events, for a real gunicorn: `/` says that it lives."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from mlengine.stores.database.engine import open_database
from mlengine.stores.database.outbox import Outbox
from mlengine.web.serving.streams.places import EXTENSION, StreamPlaces
from mlengine.web.serving.streams.subscription import MEDIA_TYPE, OPENING, Subscription, attach

URL = "EVENT_STREAMS_URL"


class Application:
    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.extensions = {EXTENSION: StreamPlaces(outbox)}

    def __call__(
        self, environ: dict[str, object], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", MEDIA_TYPE)])
        if environ["PATH_INFO"] == "/events":
            last = str(environ.get("HTTP_LAST_EVENT_ID") or self.outbox.newest_seq())
            attach(environ, Subscription((), int(last)))
        return iter([OPENING])


app = Application(Outbox(open_database(os.environ[URL]))) if URL in os.environ else None
