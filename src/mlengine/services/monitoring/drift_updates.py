"""Takes live rows into the counts of their version and date, and lets the drift alarm look."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from mlengine.core.monitoring.drift.tallies import DateTallies, PanelRows, tally
from mlengine.core.monitoring.drift_alarm import AlarmTold, DriftAlarms, look_at_dates
from mlengine.core.monitoring.event import Event
from mlengine.core.timestamps import EPOCH, rfc3339
from mlengine.errors import ArtifactCorrupt, DamagedRow, ModelNotFound
from mlengine.services.monitoring.drift_references import DriftReferences, VersionReference
from mlengine.stores.audit.live_vectors import LiveRows, LiveVectorReader
from mlengine.stores.monitoring.drift_store import DriftProgress, DriftStore
from mlengine.stores.registry.registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DriftUpdates:
    """A step of the monitoring update; `level` is what the alarm's statistic must pass."""

    registry: Registry
    references: DriftReferences
    vectors: LiveVectorReader
    store: DriftStore
    level: float
    name: str = "drift"

    def run(self, now: datetime) -> datetime | None:
        """Count what was predicted since the last run; no look is due but for new rows.

        A version that can't be read is logged and left. Raises DatabaseUnavailable or DamagedRow.
        """
        versions = self.registry.versions()
        for version in versions:
            try:
                self._update(version, now)
            except (ArtifactCorrupt, ModelNotFound) as refusal:
                log.warning("drift_not_counted", extra={"reason": str(refusal)})
        if versions:  # else the folder may only be away
            self.store.forget_others(versions)
        return None

    def _update(self, version: str, now: datetime) -> None:
        newest, progress = self.vectors.newest_seq(version), self.store.progress(version)
        if newest is None or (progress is not None and newest <= progress.prediction_seq):
            return
        reference = self.references.get(version)
        dates = self.vectors.dates_since(
            reference.scored,
            seq=progress.prediction_seq if progress else 0,
            updated_at=progress.updated_at if progress else None,
        )
        for counted in self._count(reference, dates):
            self.store.record(version, counted)
        alarms, events = self._look(reference, progress, now)
        self.store.advance(version, DriftProgress(newest, now, alarms.to_dict()), events)

    def _count(self, reference: VersionReference, dates: Sequence[int]) -> Iterator[DateTallies]:
        """Each date by itself, after the last rows of the one before: values may repeat those."""
        known = {date for date, _ in self.store.rows_by_date(reference.scored.version)}
        read: dict[int, LiveRows] = {}
        for date in dates:
            earlier = max((each for each in known if each < date), default=None)
            if earlier is not None and earlier not in read:
                read[earlier] = self.vectors.rows(reference.scored, date=earlier)
            rows = self.vectors.rows(reference.scored, date=date)
            before = {} if earlier is None else {earlier: read[earlier]}
            read = {date: rows}
            if len(rows.symbols):
                known.add(date)
                panel = _panel(reference, before | read)
                watched = len(reference.columns)
                counted = tally(panel, reference.reference.grid, telling=watched)
                yield counted.at(slice(-1, None))

    def _look(
        self, reference: VersionReference, progress: DriftProgress | None, now: datetime
    ) -> tuple[DriftAlarms, list[Event]]:
        alarms, version = alarms_of(progress), reference.scored.version
        live = self.store.tallies(
            version, since=alarms.first_needed(), features=len(reference.reference.grid.names)
        )
        alarms, told = look_at_dates(alarms, reference.reference, live, level=self.level)
        return alarms, [_event(each, version, now, self.level) for each in told]


def alarms_of(progress: DriftProgress | None) -> DriftAlarms:
    """What the alarm knew at the last update; raises DamagedRow."""
    if progress is None:
        return DriftAlarms()
    try:
        return DriftAlarms.from_dict(progress.alarm)
    except (TypeError, ValueError, KeyError):
        raise DamagedRow from None


def midnight(date: int) -> datetime:
    """The beginning of a date, which is in days since 1970."""
    return EPOCH + timedelta(days=date)


def _panel(reference: VersionReference, by_date: Mapping[int, LiveRows]) -> PanelRows:
    """Dates in order; of a symbol the bars stay in theirs."""
    values = [reference.values(rows.vectors, rows.scores) for rows in by_date.values()]
    dates = [np.full(len(rows.symbols), date) for date, rows in by_date.items()]
    symbols = [symbol for rows in by_date.values() for symbol in rows.symbols]
    return PanelRows(
        np.concatenate(values),
        np.concatenate(dates),
        np.unique(np.array(symbols, np.str_), return_inverse=True)[1].astype(np.int64),
    )


def _event(told: AlarmTold, version: str, now: datetime, level: float) -> Event:
    details: dict[str, object] = {
        "by": told.by,
        "features": list(told.features),
        "since": rfc3339(midnight(told.since)),
        "through": rfc3339(midnight(told.through)),
    }
    if told.e_value is not None:
        details |= {"e_value": told.e_value, "level": level}
    return Event(kind="drift_alarm", at=now, version=version, actor=None, details=details)
