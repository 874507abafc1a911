"""What `/health` and `/ready` report; neither calls the upstream."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime

from mlengine.core.predictions.usability import ModelAge
from mlengine.errors import (
    DatabaseUnavailable,
    FeatureSetMismatch,
    IntervalMismatch,
    MlengineError,
    NotReady,
)
from mlengine.stores.audit.spool.spool import SpoolCounts
from mlengine.stores.audit.spool.store import SpooledAuditStore
from mlengine.stores.database.clock import DatabaseClock
from mlengine.stores.keys.key_ring import KeyRing
from mlengine.stores.market_data import MarketData
from mlengine.stores.registry.loader import LoadedModel, ModelLoader
from mlengine.stores.registry.registry import Registry
from mlengine.stores.system.dependency_states import DependencyStates

_PATIENCE_SECONDS = 0.2
_FRESH_SECONDS = 2.0


@dataclass(frozen=True)
class LineHealth:
    """A model line that this process serves; `loaded_version` is null before the first model."""

    model: str
    active_version: str | None
    loaded_version: str | None


@dataclass(frozen=True)
class Health:
    """`checks`: each part is `ok`, `degraded`, `down` or `unknown`.

    `refused_files` has each `file` of the folder of bars that can't be used, and the `reason`.
    `clock_skew_seconds` is how far this host's clock is ahead of the database server's, whose time
    is the platform's; null while that server is not reached. `ageing_from` and `too_old_from` are
    moments of the loaded model, null where a model may have any age. `lines` has the model lines
    beside `main` that this process was asked for.
    """

    status: str
    version: str
    env: str
    active_version: str | None
    loaded_version: str | None
    checks: Mapping[str, str]
    audit_spool: SpoolCounts = field(default_factory=SpoolCounts)
    refused_files: Sequence[Mapping[str, str]] = ()
    clock_skew_seconds: float | None = None
    ageing_from: datetime | None = None
    too_old_from: datetime | None = None
    lines: Sequence[LineHealth] = ()


class WorkerCountProbe:
    """Counts the training workers in the background, at most every two seconds.

    `count` is None while the queue does not answer. One that hangs costs the caller a fifth of a
    second, once a count. `timer` is monotonic, in seconds.
    """

    def __init__(
        self, count: Callable[[], int | None], timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._count = count
        self._timer = timer
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="worker-count")
        self._pending: Future[int | None] | None = None
        self._started_at = 0.0

    def start(self) -> None:
        """Begin to count, unless there is a fresh count; waits for nothing.

        For who has other things to do before asking for `workers`.
        """
        self._newest()

    def workers(self) -> int | None:
        """None while the queue does not answer."""
        pending, patience = self._newest()
        done, _ = wait([pending], timeout=patience)
        return pending.result() if done else None

    def _newest(self) -> tuple[Future[int | None], float]:
        """And for how many seconds it may be waited for."""
        with self._lock:
            pending = self._pending
            if pending is None or (pending.done() and self._age() >= _FRESH_SECONDS):
                pending = self._pending = self._executor.submit(self._count)
                self._started_at = self._timer()
            return pending, max(0.0, _PATIENCE_SECONDS - self._age())

    def _age(self) -> float:
        return self._timer() - self._started_at


@dataclass(frozen=True)
class HealthService:
    version: str
    env: str
    registry: Registry
    loader: ModelLoader
    audit: SpooledAuditStore
    worker_count: WorkerCountProbe
    states: DependencyStates
    source: MarketData
    keys: KeyRing
    clock: DatabaseClock
    max_model_age_days: int = 0
    lines: Callable[[], Sequence[LineHealth]] = tuple

    def health(self) -> Health:
        """The state of every part, mostly as the last real call left it.

        Never raises, for the process lives, and never waits long.
        """
        active = self.registry.active.read_or_none()
        active_version = active.version if active else None
        model = self._loaded_model()
        loaded = model.version if model else None
        age = ModelAge(model.manifest.created_at, self.max_model_age_days) if model else None
        workers = self.worker_count.workers()
        checks = {
            "redis": self._redis(workers),
            "audit": self.audit.state(),
            "upstream": self.states.state("upstream"),
            "workers": _state_of(workers),
            "model": self.states.state("model"),
            "keys": "degraded" if self.keys.damage() else "ok",
        }
        if self.registry.is_shared:
            checks["registry"] = self.states.state("registry")
        is_ok = (
            loaded is not None
            and loaded == active_version
            and not {"degraded", "down"} & {*checks.values()}
        )
        status = "ok" if is_ok else "degraded"
        return Health(
            status,
            self.version,
            self.env,
            active_version,
            loaded,
            checks,
            audit_spool=self.audit.spool.counts(),
            refused_files=[
                {"file": file, "reason": reason} for file, reason in self.source.refused_files()
            ],
            clock_skew_seconds=self.clock.skew_seconds,
            ageing_from=age.ageing_from if age else None,
            too_old_from=age.too_old_from if age else None,
            lines=self.lines(),
        )

    def ready(self) -> str:
        """The loaded active version; raises why predictions can't be answered."""
        try:
            loaded = self.loader.active()
        except (FeatureSetMismatch, IntervalMismatch) as mismatch:
            raise NotReady(str(mismatch)) from mismatch
        if not self.audit.writable():
            raise DatabaseUnavailable("it can't be written")
        return loaded.version

    def _loaded_model(self) -> LoadedModel | None:
        try:
            return self.loader.active()
        except MlengineError:
            return None

    def _redis(self, workers: int | None) -> str:
        """The limiter's view, unless the queue itself does not answer."""
        if workers is None:
            return "down"
        state = self.states.state("redis")
        return "ok" if state in ("unknown", "down") else state


def _state_of(workers: int | None) -> str:
    if workers is None:
        return "unknown"
    return "ok" if workers else "down"
