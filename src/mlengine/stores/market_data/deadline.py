"""How long somebody waits: one moment that holds for every step of a request."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from mlengine.errors import UpstreamUnavailable

T = TypeVar("T")

_VALUES_A_LOOK = 256


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

    def enforced_over(self, values: Iterable[T]) -> Iterator[T]:
        """`values`; raises UpstreamUnavailable once it is over, however much is done with each."""
        for number, value in enumerate(values):
            if number % _VALUES_A_LOOK == 0 and self.left_seconds <= 0:
                raise UpstreamUnavailable("no answer before the deadline")
            yield value


NEVER = Deadline()
