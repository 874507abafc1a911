"""How the last real call to each dependency went; `/health` reads it and calls nothing."""

import threading
from collections.abc import Callable

STATES = ("ok", "degraded", "down", "unknown")


def _tell_nobody(dependency: str, state: str, calls: int) -> None:
    pass


class DependencyStates:
    """Dependency name to state, for this process; safe to use from many threads.

    `listener` is told of all calls, from whichever thread they were made in.
    """

    def __init__(self, listener: Callable[[str, str, int], None] = _tell_nobody) -> None:
        self._listener = listener
        self._states: dict[str, str] = {}
        self._lock = threading.Lock()

    def record(self, dependency: str, state: str, *, calls: int = 1) -> None:
        """Remember how the last `calls` went; ValueError on a state that is no state."""
        if state not in STATES:
            raise ValueError(f"{state!r} is none of {', '.join(STATES)}")
        with self._lock:
            self._states[dependency] = state
        self._listener(dependency, state, calls)

    def state(self, dependency: str) -> str:
        """`unknown` until the first call."""
        with self._lock:
            return self._states.get(dependency, "unknown")
