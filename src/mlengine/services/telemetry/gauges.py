"""The gauges of `/metrics`: the state of database, models, bars, trainings and spool."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mlengine.core.line_names import MODEL_LINE
from mlengine.core.runs.run import STATES
from mlengine.core.telemetry import families
from mlengine.core.telemetry.families import Family, Sample, Samples
from mlengine.errors import DatabaseUnavailable, MlengineError
from mlengine.services.monitoring.health import WorkerCountProbe
from mlengine.services.monitoring.service import Freshness, MonitoringService
from mlengine.services.telemetry.timed_cache import TimedCache
from mlengine.stores.audit.spool.spool import AuditSpool
from mlengine.stores.runs.store import RunStore

log = logging.getLogger(__name__)

# Whoever scrapes more often gets the same figures.
_FRESH_SECONDS = 5.0

Reader = Callable[[datetime], Sequence[Samples]]


@dataclass(frozen=True)
class GaugeReader:
    """`more` are readers of what other parts keep in the database.

    Each raises a domain error where there is nothing to tell.
    """

    version: str
    python: str
    monitoring: MonitoringService
    runs: RunStore
    spool: AuditSpool
    workers: WorkerCountProbe
    more: Sequence[Reader] = ()
    newest: TimedCache[Sequence[Samples]] = field(
        default_factory=lambda: TimedCache(_FRESH_SECONDS), repr=False, compare=False
    )

    def read(self, now: datetime) -> Sequence[Samples]:
        """Every gauge that can be read, at most five seconds old; raises nothing."""
        return self.newest.get("", lambda: self._read(now))

    def _read(self, now: datetime) -> Sequence[Samples]:
        self.workers.start()  # a silent queue is waited for while the database answers
        stored = self._stored(now)
        return _by_family([*self._local(), *stored])

    def _local(self) -> Iterator[Samples]:
        yield _one(families.BUILD_INFO, 1.0, self.version, self.python)
        spooled = self.spool.counts()
        yield _one(families.SPOOL_FILES, spooled.files)
        yield _one(families.SPOOL_BYTES, spooled.bytes)
        workers = self.workers.workers()
        if workers is not None:
            yield _one(families.WORKERS, workers)

    def _stored(self, now: datetime) -> list[Samples]:
        found: list[Samples] = []
        is_up = True
        for reader in (self._runs, self._revisions, self._freshness, *self.more):
            try:
                found += reader(now)
            except DatabaseUnavailable as refusal:
                is_up = False
                log.warning("metrics not read", extra={"reason": refusal.reason})
            except MlengineError as error:  # no model, or one that can't be read
                log.debug("metrics not read", extra={"reason": str(error)})
        return [_one(families.DATABASE_UP, is_up), *found]

    def _runs(self, _: datetime) -> Sequence[Samples]:
        counts = self.runs.count_by_state()
        by_state = [Sample((state,), counts.get(state, 0)) for state in STATES]
        return (
            Samples(families.RUNS, by_state),
            _one(families.QUEUE_DEPTH, counts.get("queued", 0)),
            _one(families.LEASE_LOSSES, counts.get("lost", 0)),
        )

    def _revisions(self, _: datetime) -> Sequence[Samples]:
        monitoring = self.monitoring
        revised = monitoring.bar_ages.store.revised_bars(monitoring.interval)
        return (_one(families.BAR_REVISIONS, sum(revised.values())),)

    def _freshness(self, now: datetime) -> Sequence[Samples]:
        found = self.monitoring.freshness(now=now)
        return tuple(_of_freshness(found, now))


def _of_freshness(found: Freshness, now: datetime) -> Iterator[Samples]:
    asked = [symbol for symbol in found.symbols if not symbol.unasked]
    stale = sum(symbol.stale for symbol in asked)
    unasked = len(found.symbols) - len(asked)
    states = {"fresh": len(asked) - stale, "stale": stale, "unasked": unasked}
    yield Samples(families.SYMBOLS, [Sample((state,), n) for state, n in states.items()])
    if asked:
        yield _one(families.BAR_AGE, max(symbol.age_bars for symbol in asked))
    if found.last_prediction_at:
        age = (now - found.last_prediction_at).total_seconds()
        yield _one(families.LAST_PREDICTION_AGE, max(age, 0.0))
    if found.model:
        yield _one(families.MODEL_INFO, 1.0, found.model.version)
        yield _one(families.MODEL_AGE, found.model.age_seconds, MODEL_LINE)


def _by_family(found: Sequence[Samples]) -> list[Samples]:
    """One entry a family, though several readers tell of it."""
    merged: dict[Family, list[Sample]] = {}
    for each in found:
        merged.setdefault(each.family, []).extend(each.samples)
    return [Samples(family, samples) for family, samples in merged.items()]


def _one(family: Family, value: float, *labels: str) -> Samples:
    return Samples(family, [Sample(labels, float(value))])
