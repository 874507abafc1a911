"""How long tests wait for what should come: longer on a busy machine, by its speed as measured."""

import hashlib
import os
import time
from collections.abc import Callable

_DATA = bytes(65536)
_ROUNDS = 50


def patience(seconds: float) -> float:
    """So many seconds of a quiet machine, in those of this one now."""
    return seconds * slowness()


def slowness() -> float:
    """How many times longer than on a quiet machine work takes now; at least 1.

    The larger of what a little work waits for a processor and how many processes want one.
    """
    begun, used = time.perf_counter(), time.thread_time()
    for _ in range(_ROUNDS):
        hashlib.sha256(_DATA).digest()
    waited = (time.perf_counter() - begun) / max(time.thread_time() - used, 1e-6)
    return max(1.0, waited, os.getloadavg()[0] / (os.cpu_count() or 1))


def eventually(holds: Callable[[], bool], *, seconds: float = 10.0) -> bool:
    """Whether it holds within so many seconds of a quiet machine."""
    begun = time.monotonic()
    while not holds():
        passed = time.monotonic() - begun
        if passed > seconds and passed > patience(seconds):
            return holds()
        time.sleep(0.02)
    return True
