"""Writes into the history what the drift of the active version comes to, where that is news."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlengine.core.monitoring.drift.windows import DEFAULT_WINDOW
from mlengine.core.monitoring.event import EventKind
from mlengine.errors import ArtifactCorrupt, ModelNotFound, NoActiveModel
from mlengine.services.monitoring.drift import DriftService, ModelDrift
from mlengine.stores.database.events import EventStore

_CHECKED: EventKind = "drift_checked"
_BETWEEN_EVENTS = timedelta(hours=1)
_MOST_NAMED = 5


@dataclass(frozen=True)
class DriftChecks:
    """A step of the monitoring update, after that of the counts."""

    drift: DriftService
    events: EventStore
    name: str = "drift_checks"

    def run(self, now: datetime) -> datetime | None:
        """Write a status that differs from the last one, which must be an hour old.

        Raises DatabaseUnavailable or DamagedRow.
        """
        try:
            found = self.drift.drift(window=DEFAULT_WINDOW, version=None, now=now)
        except (NoActiveModel, ModelNotFound, ArtifactCorrupt):
            return None
        if found.status != "insufficient_data" and self._is_news(found, now):
            self.events.append(
                _CHECKED, at=now, version=found.model_version, actor=None, details=_details(found)
            )
        return None

    def _is_news(self, found: ModelDrift, now: datetime) -> bool:
        last = self.events.newest(_CHECKED, version=found.model_version)
        if last is None:
            return True
        return last.details.get("status") != found.status and now - last.at >= _BETWEEN_EVENTS


def _details(found: ModelDrift) -> Mapping[str, object]:
    """The verdict with its figures; of drift the features that lie furthest off, worst first."""
    details: dict[str, object] = {
        name: getattr(found, name)
        for name in ("status", "reason", "n_current", "dates", "score", "threshold")
    }
    if found.status == "drift":
        details["features"] = [each.feature for each in found.features[:_MOST_NAMED]]
    return details
