"""Whether anything speaks against the model that serves, with the figures that say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from mlengine.core.evaluation import Verdict
from mlengine.core.monitoring.drift.check import DriftStatus
from mlengine.core.monitoring.drift.windows import DEFAULT_WINDOW
from mlengine.core.monitoring.skill.report import Skill
from mlengine.core.outcomes.report import DEFAULT_WINDOW as DEFAULT_DATES
from mlengine.core.outcomes.report import Coverage
from mlengine.core.predictions.usability import ModelAge
from mlengine.core.versions.manifest import Manifest
from mlengine.services.monitoring.drift import DriftAlarmReport, DriftService, ModelDrift
from mlengine.services.monitoring.service import Freshness, MonitoringService
from mlengine.services.outcomes.performance import PerformanceService
from mlengine.stores.monitoring.update_lease import UpdateLease
from mlengine.stores.registry.loader import ModelLoader

OverviewReason: TypeAlias = Literal[
    "model_too_old",
    "model_ageing",
    "no_edge_in_training",
    "skill_lost",
    "drift_alarm",
    "frozen_features",
    "stale_feeds",
    "monitoring_behind",
]
# The update comes every minute; what waits longer than this is not told in time.
_LONGEST_WAIT = timedelta(minutes=30)
_MOST_NAMED = 100


@dataclass(frozen=True)
class OverviewModel:
    """`verdict` is that of the training; `too_old_from` is None where any age is fine."""

    version: str
    trained_at: datetime
    trained_through: datetime
    too_old_from: datetime | None
    verdict: Verdict


@dataclass(frozen=True)
class OverviewDrift:
    """As of `/monitoring/drift`: one look at the newest 250 bars, and the alarm."""

    status: DriftStatus
    reason: str | None
    score: float | None
    threshold: float | None
    false_alarm_rate: float | None
    alarm: DriftAlarmReport


@dataclass(frozen=True)
class OverviewFeeds:
    """How many symbols are fresh or unasked, and which are stale: a hundred at most."""

    fresh: int
    stale: tuple[str, ...]
    unasked: int


@dataclass(frozen=True, kw_only=True)
class Overview:
    """`status` is `look` for `reasons`, else `ok`: nothing that monitoring knows speaks against it.

    `no_edge_in_training` is no reason once live dates have proven a skill. One look that says
    `drift` is none: it does so without a cause, too; the alarm is. `waits_since` is since when
    predictions, or outcomes that are due, have waited for the monitoring update.
    """

    status: Literal["ok", "look"]
    reasons: tuple[OverviewReason, ...]
    model: OverviewModel
    drift: OverviewDrift
    skill: Skill
    coverage: Coverage
    feeds: OverviewFeeds
    waits_since: datetime | None


@dataclass(frozen=True)
class OverviewService:
    """Of one model line; `updates` is false where no worker updates monitoring by itself."""

    loader: ModelLoader
    drift: DriftService
    performance: PerformanceService
    monitoring: MonitoringService
    lease: UpdateLease
    max_model_age_days: int
    updates: bool = True

    def overview(self, *, now: datetime) -> Overview:
        """Of the active version; raises NoActiveModel, ArtifactCorrupt or DatabaseUnavailable."""
        manifest = self.loader.active().manifest
        version = manifest.version
        drift = self.drift.drift(window=DEFAULT_WINDOW, version=version, now=now)
        live = self.performance.performance(
            version=version, window=DEFAULT_DATES, symbol=None, group=None, now=now
        )
        feeds = _feeds(self.monitoring.freshness(now=now))
        waits_since = self.lease.waits_since(now=now) if self.updates else None
        age = ModelAge(manifest.created_at, self.max_model_age_days)
        reasons = (
            *_of_age(age, now),
            *_of_model(manifest, live.skill, drift),
            *(("stale_feeds",) if feeds.stale else ()),
            *(("monitoring_behind",) if waits_since and now - waits_since > _LONGEST_WAIT else ()),
        )
        return Overview(
            status="look" if reasons else "ok",
            reasons=reasons,
            model=OverviewModel(
                version,
                manifest.created_at,
                manifest.trained_through,
                age.too_old_from,
                manifest.verdict,
            ),
            drift=OverviewDrift(
                drift.status,
                drift.reason,
                drift.score,
                drift.threshold,
                drift.false_alarm_rate,
                drift.alarm,
            ),
            skill=live.skill,
            coverage=live.coverage,
            feeds=feeds,
            waits_since=waits_since,
        )


def _of_age(age: ModelAge, now: datetime) -> Iterator[OverviewReason]:
    if age.is_too_old(now):
        yield "model_too_old"
    elif age.is_ageing(now):
        yield "model_ageing"


def _of_model(manifest: Manifest, skill: Skill, drift: ModelDrift) -> Iterator[OverviewReason]:
    if manifest.verdict.verdict != "edge" and skill.status == "undecided":
        yield "no_edge_in_training"
    if skill.status == "lost":
        yield "skill_lost"
    if drift.alarm.alarms:
        yield "drift_alarm"
    if drift.alarm.frozen_features:
        yield "frozen_features"


def _feeds(found: Freshness) -> OverviewFeeds:
    stale = [each.symbol for each in found.symbols if each.stale]
    unasked = sum(each.unasked for each in found.symbols)
    fresh = len(found.symbols) - len(stale) - unasked
    return OverviewFeeds(fresh, tuple(stale[:_MOST_NAMED]), unasked)
