"""What was found a moment ago, for whoever asks again."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")

_MOST_KEYS = 16


class TimedCache(Generic[Value]):
    """Holds each value for so many seconds, of a few keys; `timer` is monotonic, in seconds."""

    def __init__(self, seconds: float, timer: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._timer = timer
        self._lock = threading.Lock()
        self._found: dict[Hashable, tuple[float, Value]] = {}

    def get(self, key: Hashable, find: Callable[[], Value]) -> Value:
        """The value, by `find` where there is no fresh one; others wait meanwhile.

        Raises what `find` raises, and keeps nothing then.
        """
        with self._lock:
            found = self._found.get(key)
            if found is not None and self._timer() - found[0] < self._seconds:
                return found[1]
            value = find()
            self._found.pop(key, None)
            if len(self._found) >= _MOST_KEYS:
                del self._found[next(iter(self._found))]
            self._found[key] = self._timer(), value
            return value
