"""How many streams of events a web worker serves, and where their messages are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from mlengine.stores.database.outbox import Outbox

EXTENSION = "mlengine.streams"
MOST_STREAMS = 64


@dataclass
class StreamPlaces:
    """Counted by the thread that polls the connections, read by those that answer requests."""

    outbox: Outbox
    most: int = MOST_STREAMS
    taken: int = field(default=0, init=False)

    @property
    def are_full(self) -> bool:
        return self.taken >= self.most

    def take(self) -> bool:
        """Whether there was one left."""
        if self.are_full:
            return False
        self.taken += 1
        return True

    def leave(self) -> None:
        self.taken -= 1


def init_app(app: Flask, outbox: Outbox) -> None:
    app.extensions[EXTENSION] = StreamPlaces(outbox)


def places_of(app: object) -> StreamPlaces | None:
    """Those of an application that has streams."""
    places = getattr(app, "extensions", {}).get(EXTENSION)
    return places if isinstance(places, StreamPlaces) else None
