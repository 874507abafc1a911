"""A lease that is renewed for as long as its holder works."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlengine.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

# So long what a worker held waits for another one, once the worker was killed.
LEASE_SECONDS = 10.0
_RENEWALS_IN_A_LEASE = 4


@contextmanager
def kept(renew: Callable[[], bool]) -> Iterator[None]:
    """Call `renew` in time, until the block ends or the lease is another's."""
    done = threading.Event()

    def keep() -> None:
        while not done.wait(LEASE_SECONDS / _RENEWALS_IN_A_LEASE):
            try:
                if not renew():
                    return
            except DatabaseUnavailable as error:
                log.warning("lease_not_renewed", extra={"reason": str(error)})

    keeper = threading.Thread(target=keep, name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
