"""How long somebody waits: one moment that holds for every step of a request."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A moment of `time.monotonic`; the default never comes."""

    ends_at: float = math.inf

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """So many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left_seconds(self) -> float:
        """Not above zero once it is over."""
        return self.ends_at - time.monotonic()

    def sooner_of(self, other: Deadline) -> Deadline:
        """Whichever of the two comes first."""
        return self if self.ends_at <= other.ends_at else other


NEVER = Deadline()
