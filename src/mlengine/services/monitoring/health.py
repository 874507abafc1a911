"""What `/health` and `/ready` say; neither calls the upstream."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from mlengine.errors import (
    ArtifactCorrupt,
    AuditUnavailable,
    FeatureSetMismatch,
    IntervalMismatch,
    MlengineError,
    NotReady,
    QueueUnavailable,
)
from mlengine.stores.audit.spool.store import SpooledAuditStore
from mlengine.stores.queue.jobs import JobQueue
from mlengine.stores.registry.loader import ModelLoader
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system.health_checks import Checks

_PATIENCE_SECONDS = 0.2
_FRESH_SECONDS = 2.0


@dataclass(frozen=True)
class SpoolCounts:
    """Audit rows beside their tables: what waits, and how many this process spooled so far."""

    files: int = 0
    bytes: int = 0
    spooled_rows: int = 0


@dataclass(frozen=True)
class Health:
    """`checks`: each part is `ok`, `degraded`, `down` or `unknown`."""

    status: str
    version: str
    env: str
    active_version: str | None
    loaded_version: str | None
    checks: Mapping[str, str]
    audit_spool: SpoolCounts = SpoolCounts()


class QueueWatch:
    """How many workers wait at the queue, asked at most every two seconds and beside the caller.

    A queue server that hangs costs the caller a fifth of a second, once an asking. `timer` is
    monotonic, in seconds.
    """

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._lock = threading.Lock()
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="queue-watch")
        self._asked: Future[int | None] | None = None
        self._asked_at = 0.0

    def workers(self, queue: JobQueue) -> int | None:
        """None while the queue does not answer."""
        with self._lock:
            asked = self._asked
            if asked is None or (asked.done() and self._age() >= _FRESH_SECONDS):
                asked = self._asked = self._beside.submit(_workers, queue)
                self._asked_at = self._timer()
            patience = max(0.0, _PATIENCE_SECONDS - self._age())
        done, _ = wait([asked], timeout=patience)
        return asked.result() if done else None

    def _age(self) -> float:
        return self._timer() - self._asked_at


def _workers(queue: JobQueue) -> int | None:
    try:
        return queue.workers()
    except QueueUnavailable:
        return None


@dataclass(frozen=True)
class HealthService:
    version: str
    env: str
    registry: Registry
    loader: ModelLoader
    audit: SpooledAuditStore
    queue: JobQueue
    checks: Checks
    watch: QueueWatch = field(default_factory=QueueWatch)

    def health(self) -> Health:
        """The state of every part, mostly as the last real call left it.

        Never raises, for the process lives, and never waits long.
        """
        active = self._active_version()
        loaded = self._loaded_version()
        workers = self.watch.workers(self.queue)
        checks = {
            "redis": self._redis(workers),
            "audit": self.audit.state(),
            "upstream": self.checks.state("upstream"),
            "workers": _state_of(workers),
            "model": self.checks.state("model"),
        }
        well = (
            loaded is not None
            and loaded == active
            and not {"degraded", "down"} & {*checks.values()}
        )
        status = "ok" if well else "degraded"
        return Health(status, self.version, self.env, active, loaded, checks, self._spool())

    def ready(self) -> str:
        """The loaded active version; raises why predictions can't be answered."""
        try:
            loaded = self.loader.active()
        except (FeatureSetMismatch, IntervalMismatch) as mismatch:
            raise NotReady(str(mismatch)) from mismatch
        if not self.audit.writable():
            raise AuditUnavailable("it can't be written")
        return loaded.version

    def _spool(self) -> SpoolCounts:
        spool = self.audit.spool
        waiting = spool.waiting()
        return SpoolCounts(waiting.files, waiting.bytes, spool.spooled)

    def _active_version(self) -> str | None:
        try:
            active = self.registry.active.read()
        except ArtifactCorrupt:
            return None
        return active.version if active else None

    def _loaded_version(self) -> str | None:
        try:
            return self.loader.active().version
        except MlengineError:
            return None

    def _redis(self, workers: int | None) -> str:
        """The limiter's view, unless the queue itself does not answer."""
        if workers is None:
            return "down"
        seen = self.checks.state("redis")
        return "ok" if seen in ("unknown", "down") else seen


def _state_of(workers: int | None) -> str:
    if workers is None:
        return "unknown"
    return "ok" if workers else "down"
