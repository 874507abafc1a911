"""The step of the monitoring update that warns before the active model is too old."""

import logging
from dataclasses import dataclass
from datetime import datetime

from mlengine.core.predictions.usability import ModelAge
from mlengine.core.timestamps import rfc3339
from mlengine.stores.database.events import EventStore
from mlengine.stores.registry.registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelAgeStep:
    """`max_days` 0 is any age: then there is nothing to tell."""

    registry: Registry
    events: EventStore
    max_days: int

    @property
    def name(self) -> str:
        return "model_age"

    def run(self, now: datetime) -> datetime | None:
        """Tell once of each version that serves in the last third of its days.

        Raises ArtifactCorrupt, ModelNotFound and DatabaseUnavailable.
        """
        active = self.registry.active.read_or_none() if self.max_days else None
        if active is None:
            return None
        age = ModelAge(self.registry.manifest(active.version).created_at, self.max_days)
        if age.ageing_from is None or age.too_old_from is None:
            return None
        if not age.is_ageing(now):
            return age.ageing_from
        if self.events.newest("model_ageing", version=active.version) is None:
            details = {"too_old_from": rfc3339(age.too_old_from), "max_days": self.max_days}
            self.events.append(
                "model_ageing", at=now, version=active.version, actor=None, details=details
            )
            log.warning("model is ageing", extra={"active_version": active.version, **details})
        return None
