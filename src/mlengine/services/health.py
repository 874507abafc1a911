"""What `/health` and `/ready` say; neither calls the upstream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlengine.errors import (
    ArtifactCorrupt,
    AuditUnavailable,
    FeatureSetMismatch,
    IntervalMismatch,
    MlengineError,
    NotReady,
    QueueUnavailable,
)
from mlengine.stores.audit import AuditStore
from mlengine.stores.checks import Checks
from mlengine.stores.job_queue import JobQueue
from mlengine.stores.loaded import ModelShelf
from mlengine.stores.registry import Registry


@dataclass(frozen=True)
class Health:
    """`checks`: each part is `ok`, `degraded`, `down` or `unknown`."""

    status: str
    version: str
    env: str
    active_version: str | None
    loaded_version: str | None
    checks: Mapping[str, str]


@dataclass(frozen=True)
class HealthService:
    version: str
    env: str
    registry: Registry
    shelf: ModelShelf
    audit: AuditStore
    queue: JobQueue
    checks: Checks

    def health(self) -> Health:
        """The state of every part; never raises, for the process lives."""
        active = self._active_version()
        loaded = self._loaded_version()
        checks = {
            "redis": self._redis(),
            "audit": "ok" if self.audit.writable() else "down",
            "upstream": self.checks.state("upstream"),
            "workers": self._workers(),
        }
        well = (
            loaded is not None
            and loaded == active
            and not {"degraded", "down"} & {*checks.values()}
        )
        return Health("ok" if well else "degraded", self.version, self.env, active, loaded, checks)

    def ready(self) -> str:
        """The loaded active version; raises why predictions can't be answered."""
        try:
            loaded = self.shelf.current()
        except (FeatureSetMismatch, IntervalMismatch) as mismatch:
            raise NotReady(str(mismatch)) from mismatch
        if not self.audit.writable():
            raise AuditUnavailable("it can't be written")
        return loaded.version

    def _active_version(self) -> str | None:
        try:
            active = self.registry.active.read()
        except ArtifactCorrupt:
            return None
        return active.version if active else None

    def _loaded_version(self) -> str | None:
        try:
            return self.shelf.current().version
        except MlengineError:
            return None

    def _redis(self) -> str:
        """The limiter's view, unless the queue itself does not answer."""
        if not self.queue.ping():
            return "down"
        seen = self.checks.state("redis")
        return "ok" if seen in ("unknown", "down") else seen

    def _workers(self) -> str:
        try:
            return "ok" if self.queue.workers() else "down"
        except QueueUnavailable:
            return "unknown"
