"""When a failed delivery is tried again: as Standard Webhooks proposes, over three days."""

from datetime import timedelta

# Before the second attempt, the third, and so on.
PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
MOST_ATTEMPTS = len(PAUSES) + 1
# By so much of itself a pause is longer at most, so that not all come back at once.
_SPREAD = 0.1


def pause_after(attempts: int, *, jitter: float) -> timedelta | None:
    """How long to wait after so many attempts, None after the last; `jitter` is from 0 to 1."""
    if attempts >= MOST_ATTEMPTS:
        return None
    return PAUSES[attempts - 1] * (1 + _SPREAD * jitter)
