"""How long predictions are kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mlengine.stores.audit.retention import AuditRetention

ACTOR = "retention"


@dataclass(frozen=True)
class RetentionService:
    """`days` is how old a prediction may become; 0 keeps all."""

    store: AuditRetention
    days: int

    def prune(self, *, older_than_days: int, dry_run: bool, actor: str, now: datetime) -> int:
        """Remove what is older, or only count it; returns how many. Raises DatabaseUnavailable."""
        before = now - timedelta(days=older_than_days)
        if dry_run:
            return self.store.count(before=before)
        return self.store.remove(before=before, actor=actor, at=now)

    def prune_expired(self, *, now: datetime) -> int:
        """Remove what has become too old, and prepare the coming days of the database.

        Whole days go at once, so that there is one event a day.

        Raises DatabaseUnavailable.
        """
        self.store.prepare_days(now=now)
        if not self.days:
            return 0
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        before = midnight - timedelta(days=self.days)
        if not self.store.any(before=before):
            return 0
        return self.store.remove(before=before, actor=ACTOR, at=now)
