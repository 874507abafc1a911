"""The step of the monitoring update that weighs whether versions have kept their skill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile

import numpy as np

from mlengine.core.monitoring.event import Event, EventKind
from mlengine.core.monitoring.skill.report import SkillRecord
from mlengine.core.outcomes.performance import daily_gains, daily_gains_over_other
from mlengine.core.versions.manifest import Manifest
from mlengine.errors import ArtifactCorrupt, ModelNotFound
from mlengine.services.outcomes.judging import UnseenRowsReader, judge_of
from mlengine.stores.outcomes.scored import ScoredReader
from mlengine.stores.outcomes.skill_store import SkillStore
from mlengine.stores.registry.registry import Registry

_DAY = 86_400_000_000
_KINDS: dict[str, EventKind] = {"lost": "skill_lost", "proven": "skill_proven"}


@dataclass(frozen=True)
class SkillStep:
    """Counts each date once, when all of its outcomes are decided or one bar overdue."""

    outcomes: ScoredReader
    store: SkillStore
    registry: Registry
    unseen: UnseenRowsReader

    @property
    def name(self) -> str:
        return "skill"

    def run(self, now: datetime) -> datetime | None:
        """Dates are closed by outcomes, so nothing is to be looked at by the clock."""
        for version in self.outcomes.versions():
            with suppress(ModelNotFound, ArtifactCorrupt):
                self._update(self.registry.manifest(version), now)
        return None

    def _update(self, manifest: Manifest, now: datetime) -> None:
        stored = self.store.read(manifest.version)
        counted, record = stored or (None, None)
        days = self.outcomes.open_days(manifest.version, after=-1 if counted is None else counted)
        closed = list(takewhile(lambda day: not day.pending or now >= day.overdue_at, days))
        if not closed:
            return
        before = self.unseen.record(manifest, record)
        after, through = before, closed[-1].day
        for gain, over_other in self._gains(manifest, closed[0].day, through):
            after = after.with_date(gain, over_other)
        event = None
        if after.status != before.status:
            after = replace(after, changed_at=now)
            event = _event(manifest, after, now)
        self.store.write(manifest.version, after, counted=counted, through=through, event=event)

    def _gains(self, manifest: Manifest, first: int, last: int) -> Iterator[tuple[float, float]]:
        judge = judge_of(manifest)
        outcomes = self.outcomes.read(manifest.version, since=first * _DAY, until=(last + 1) * _DAY)
        if outcomes.rows:
            gains = daily_gains(outcomes, judge), daily_gains_over_other(outcomes, judge)
            yield from zip(*(np.asarray(each).tolist() for each in gains), strict=True)


def _event(manifest: Manifest, record: SkillRecord, now: datetime) -> Event:
    evidence = record.evidence
    details = {
        "dates": record.dates,
        "mean_gain": record.gain / record.dates,
        "trained_gain": record.terms.mean if record.terms else None,
        "lost_e_value": evidence.lost_e_value if evidence else None,
        "proven_e_value": evidence.proven_e_value if evidence else None,
    }
    kind = _KINDS[record.status]
    return Event(kind=kind, at=now, version=manifest.version, actor=None, details=details)
