"""Reads new messages for all streams of a web worker: one question a second, in one thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mlengine.core.monitoring.messages import Message
from mlengine.errors import MlengineError
from mlengine.stores.database.outbox import Outbox

log = logging.getLogger(__name__)

MOST_AT_ONCE = 200
_SECONDS_BETWEEN_LOOKS = 1.0
_PATIENCE_SECONDS = 5.0


@dataclass
class MessageFeed:
    """Calls `deliver` with a number and the messages behind it, or none, every second.

    The thread that polls the connections sets `cursor`: behind which message somebody waits, None
    where nobody does. It calls `delivered` when it has dealt with a call of `deliver`.
    """

    outbox: Outbox
    deliver: Callable[[int, Sequence[Message]], object]
    cursor: int | None = None
    _delivered: threading.Event = field(default_factory=threading.Event, init=False)
    _wanted: threading.Event = field(default_factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _has_failed: bool = field(default=False, init=False)

    def follow(self, cursor: int | None, *, wanted: bool) -> None:
        """Somebody waits behind this message; nothing is read while there is nobody at all."""
        self.cursor = cursor
        if not wanted:
            self._wanted.clear()
            return
        self._wanted.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="message-feed", daemon=True)
            self._thread.start()

    def delivered(self) -> None:
        self._delivered.set()

    def _run(self) -> None:
        pause = threading.Event()
        while self._wanted.wait():
            messages = self._look()
            if len(messages) < MOST_AT_ONCE:
                pause.wait(_SECONDS_BETWEEN_LOOKS)

    def _look(self) -> Sequence[Message]:
        cursor = self.cursor
        messages = self._read(cursor) if cursor is not None else []
        self._delivered.clear()
        self.deliver(cursor or 0, messages)
        self._delivered.wait(_PATIENCE_SECONDS)
        return messages

    def _read(self, cursor: int) -> Sequence[Message]:
        try:
            messages = self.outbox.after(cursor, limit=MOST_AT_ONCE)
        except MlengineError as error:
            if not self._has_failed:
                log.warning("events_not_read", extra={"reason": str(error)})
            self._has_failed = True
            return []
        self._has_failed = False
        return messages
