"""How the last real call to each part went; `/health` reads it and calls nothing."""

from __future__ import annotations

import threading

STATES = ("ok", "degraded", "down", "unknown")


class Checks:
    """Part name to state, for this process; safe to use from many threads."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._lock = threading.Lock()

    def record(self, part: str, state: str) -> None:
        """Remember what the last call to `part` showed; ValueError on a state that is no state."""
        if state not in STATES:
            raise ValueError(f"{state!r} is none of {', '.join(STATES)}")
        with self._lock:
            self._states[part] = state

    def state(self, part: str) -> str:
        """`unknown` until the first call."""
        with self._lock:
            return self._states.get(part, "unknown")
