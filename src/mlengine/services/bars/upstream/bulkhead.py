"""How many requests may wait for the upstream at a time, and that others work meanwhile.

gunicorn's master imports it: neither Polars nor NumPy may come along.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from mlengine.errors import UpstreamUnavailable
from mlengine.stores.system.key_locks import KeyLocks

if TYPE_CHECKING:
    from mlengine.stores.market_data.deadline import Deadline

# Whether this request waits already: what it starts on further threads waits with it.
_IS_WAITING: ContextVar[bool] = ContextVar("is_waiting", default=False)
# What a request gives back for the time in which it waits.
_WORKING: ContextVar[threading.Semaphore | None] = ContextVar("working", default=None)
_RETRY_SECONDS = 1
_LOOK_SECONDS = 0.005
# Where no server has others to answer.
_MOST_WAITS = 1_000
# Requests that wait for what another one is asking cost the service nothing, but a thread each.
MOST_FOLLOWERS = 32


@contextmanager
def execution_slot(places: threading.Semaphore) -> Iterator[None]:
    """Answer a request within the block, once there is a place for its work."""
    with places:
        token = _WORKING.set(places)
        try:
            yield
        finally:
            _WORKING.reset(token)


class UpstreamBulkhead:
    """One for a process; safe for threads. Who follows another's question has a place of his own.

    Once these are taken, he takes one of the others.
    """

    def __init__(
        self,
        most: int = _MOST_WAITS,
        locks: KeyLocks | None = None,
        *,
        most_followers: int = MOST_FOLLOWERS,
    ) -> None:
        self._places = threading.BoundedSemaphore(most)
        self._followers = threading.BoundedSemaphore(most_followers)
        self._locks = locks or KeyLocks()

    @contextmanager
    def try_slot(self, *, follows: bool = False) -> Iterator[bool]:
        """Whether this request may wait within the block; there is no queue for that."""
        if _IS_WAITING.get():
            yield True
        elif (places := self._with_a_place(follows=follows)) is None:
            yield False
        else:
            token, working_places = _IS_WAITING.set(True), _WORKING.get()
            if working_places:
                working_places.release()
            try:
                yield True
            finally:
                _IS_WAITING.reset(token)
                places.release()
                if working_places:
                    working_places.acquire()

    @contextmanager
    def symbol_lock(self, symbol: str, deadline: Deadline) -> Iterator[None]:
        """Look for bars of a symbol within the block, once no other process does.

        Or at the `deadline`, and at once for a request that may not wait.
        """
        is_taken = self._locks.take(symbol)
        if not is_taken:
            with self.try_slot() as may_wait:
                while may_wait and not is_taken and deadline.left_seconds > 0:
                    time.sleep(_LOOK_SECONDS)
                    is_taken = self._locks.take(symbol)
        try:
            yield
        finally:
            if is_taken:
                self._locks.release(symbol)

    @contextmanager
    def required_slot(self, *, follows: bool = False) -> Iterator[None]:
        """Wait within the block; raises UpstreamUnavailable where this request may not."""
        with self.try_slot(follows=follows) as may_wait:
            if not may_wait:
                raise too_many_waits()
            yield

    def _with_a_place(self, *, follows: bool) -> threading.Semaphore | None:
        """Which semaphore had a place, that is taken now; None where none has."""
        kinds = (self._followers, self._places) if follows else (self._places,)
        return next((each for each in kinds if each.acquire(blocking=False)), None)


def too_many_waits() -> UpstreamUnavailable:
    """What a request gets that may not wait."""
    reason = "as many requests wait for it as UPSTREAM_MAX_WAITS allows"
    return UpstreamUnavailable(reason, _RETRY_SECONDS)
