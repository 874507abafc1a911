"""The overview of a model in memory: of the fakes that it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.published import draft
from tests.web.answers import DAY

from mlengine.core.monitoring.drift.windows import DEFAULT_WINDOW
from mlengine.services.overview.service import (
    Overview,
    OverviewDrift,
    OverviewFeeds,
    OverviewModel,
)


@dataclass(frozen=True)
class FakeOverviewService:
    drift: Any
    performance: Any

    def overview(self, *, now: datetime) -> Overview:
        drift = self.drift.drift(window=DEFAULT_WINDOW, version="v2", now=now)
        live = self.performance.performance(
            version="v2", window=250, symbol=None, group=None, now=now
        )
        figures = (drift.status, drift.reason, drift.score, drift.threshold)
        return Overview(
            status="look",
            reasons=("no_edge_in_training", "frozen_features"),
            model=OverviewModel("v2", DAY, DAY, None, draft().verdict),
            drift=OverviewDrift(*figures, drift.false_alarm_rate, drift.alarm),
            skill=live.skill,
            coverage=live.coverage,
            feeds=OverviewFeeds(1, (), 0),
            waits_since=None,
        )
