"""Until when a service wants to be left alone: for all its symbols, and all processes."""

import hashlib
import json
import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mlengine.core.timestamps import parse_rfc3339, rfc3339
from mlengine.errors import UpstreamUnavailable
from mlengine.stores.system import atomic_files

log = logging.getLogger(__name__)

_LONGEST_FILE = 1_024
# Shorter ones are over before another process has looked.
_SHORTEST_SHARED_SECONDS = 1.0
# No client is told to come back later than that.
_LONGEST_RETRY_SECONDS = 3_600


def retry_after(seconds: float) -> int:
    """When a client may come back, of what will be possible in so many seconds."""
    return max(1, math.ceil(min(seconds, _LONGEST_RETRY_SECONDS)))


@dataclass
class ServicePause:
    """By the clock of this process; in `file`, if there is one, by that of the wall.

    A file that names another service, or can't be read, says nothing. Whoever removes it ends the
    pause for processes that start later.
    """

    address: str = ""
    file: Path | None = None
    clock: Callable[[], float] = time.monotonic
    _until: float = field(default=0.0, init=False)
    _seen: object = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def seconds_left(self) -> float:
        """Not above zero once the service may be asked."""
        self._look()
        return self._until - self.clock()

    def wait(self, ends_at: float) -> None:
        """Until the service may be asked; raises UpstreamUnavailable if not before `ends_at`."""
        while (left := self.seconds_left()) > 0:
            if self.clock() + left >= ends_at:
                raise UpstreamUnavailable("it wants to be left alone for now", retry_after(left))
            time.sleep(left)

    def extend(self, seconds: float) -> None:
        """From now on, unless it lasts longer already."""
        with self._lock:
            until = self.clock() + seconds
            if until <= self._until:
                return
            self._until = until
        if seconds >= _SHORTEST_SHARED_SECONDS:
            log.warning("upstream pauses", extra={"seconds": round(seconds, 3)})
            self._share(seconds)

    def _share(self, seconds: float) -> None:
        if self.file is None:
            return
        until = rfc3339(datetime.fromtimestamp(time.time() + seconds, UTC))
        content = json.dumps({"service": self._service, "until": until}).encode()
        try:
            atomic_files.replace_file(self.file, content)
        except OSError as error:
            log.warning("pause of the upstream not shared", extra={"reason": type(error).__name__})

    def _look(self) -> None:
        """Take over what another process was told."""
        if self.file is None:
            return
        with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            stat = self.file.stat()
            seen = (stat.st_ino, stat.st_mtime_ns)
            if seen == self._seen:
                return
            self._seen = seen
            with self.file.open("rb") as file:
                content = json.loads(file.read(_LONGEST_FILE))
            if content["service"] == self._service:
                left = parse_rfc3339(content["until"]).timestamp() - time.time()
                with self._lock:
                    self._until = max(self._until, self.clock() + left)

    @property
    def _service(self) -> str:
        """The address may hold a password."""
        return hashlib.sha256(self.address.encode()).hexdigest()
