"""Verifying, pinning and pruning published versions."""

from dataclasses import dataclass
from datetime import datetime

from mlengine.core.line_names import version_key
from mlengine.core.versions.pruning import Pin, PruneDecision
from mlengine.errors import DatabaseUnavailable
from mlengine.services.models.integrity import IntegrityVerifier
from mlengine.stores.audit.spool.store import SpooledAuditStore
from mlengine.stores.database.events import EventStore


@dataclass(frozen=True)
class RegistryMaintenance(IntegrityVerifier):
    events: EventStore
    audit: SpooledAuditStore

    def pin(self, version: str, *, actor: str, reason: str, now: datetime) -> None:
        """Keep `version` whatever is pruned.

        Raises ModelNotFound, ArtifactCorrupt, ArtifactsUnavailable or DatabaseUnavailable.
        """
        self.registry.pin(version, Pin(actor, now, reason))
        self.events.append(
            "pinned", at=now, version=version, actor=actor, details={"reason": reason}
        )

    def unpin(self, version: str, *, actor: str, now: datetime) -> bool:
        """The inverse of `pin`; False, and no event, when it was not pinned. Raises the same."""
        if not self.registry.unpin(version):
            return False
        self.events.append("unpinned", at=now, version=version, actor=actor, details={})
        return True

    def prune(
        self, *, keep: int, force: bool, dry_run: bool, actor: str, now: datetime
    ) -> tuple[PruneDecision, ...]:
        """Remove what nothing keeps; `force` also what the audit refers to.

        Never removed are the active version, the one before it, pinned ones and the newest
        `keep`. Each removal stands in the history before it is done. Raises ArtifactCorrupt,
        ArtifactsUnavailable or DatabaseUnavailable; what was not removed by then stays.
        """
        if not force:
            self._refuse_while_spooled()

        def record(version: str) -> None:
            details = {"keep": keep, "forced": force}
            self.events.append("pruned", at=now, version=version, actor=actor, details=details)

        return self.registry.prune(
            keep_newest=keep,
            audited=lambda version: (
                not force and self.audit.has_predictions_of(version_key(self.events.line, version))
            ),
            record=None if dry_run else record,
        )

    def _refuse_while_spooled(self) -> None:
        """What waits beside the tables may refer to any version."""
        self.audit.drain()
        if not self.audit.spool.is_empty:
            raise DatabaseUnavailable("predictions wait in its spool, and may refer to any version")
