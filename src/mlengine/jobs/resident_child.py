"""A process that stays as long as it is wanted, a child of the worker, which loads no Polars."""

import logging
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlengine.errors import MlengineError
from mlengine.stores.system.child_process import end_child, start_dying_with_parent

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_BEFORE_ANOTHER = 10.0
_SECONDS_TO_END = 5.0


@dataclass
class ResidentChild:
    """Starts it where it is wanted, and another one some seconds after one that failed.

    `tick` is called in one thread, which must live as long as the process: the child dies with it.
    """

    command: Sequence[str]
    is_wanted: Callable[[], bool]
    failure: str

    def __post_init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    def tick(self) -> float:
        """Look after it; returns the seconds until the next look."""
        child = self._child
        if child is not None and child.poll() is None:
            return _SECONDS_BETWEEN_LOOKS
        self._child = None
        if child is not None and child.returncode:
            log.warning(self.failure, extra={"exit_code": child.returncode})
            rest = _SECONDS_BEFORE_ANOTHER - (time.monotonic() - self._started)
            return max(rest, 0.0)
        try:
            if not self.is_wanted():
                return _SECONDS_BETWEEN_LOOKS
        except MlengineError as error:
            log.warning(self.failure, extra={"reason": str(error)})
            return _SECONDS_BEFORE_ANOTHER
        self._child, self._started = start_dying_with_parent(self.command), time.monotonic()
        return _SECONDS_BETWEEN_LOOKS

    def stop(self) -> None:
        """End it: what it has not committed is another worker's to do."""
        end_child(self._child, seconds=_SECONDS_TO_END)
